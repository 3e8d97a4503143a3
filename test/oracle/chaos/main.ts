import {parseArgs} from 'node:util';
import pg from 'pg';
import {loadIssueTracker} from '../../bench/data/load.ts';
import {issueID} from '../../bench/data/rows.ts';
import {zql} from '../../bench/data/schema.ts';
import {BenchServer} from '../../bench/helpers/bench-server.ts';
import {watchInterrupts} from '../../bench/helpers/interrupt.ts';
import {startBenchPostgres} from '../../bench/helpers/postgres.ts';
import {wireQuery} from '../../bench/helpers/raw-client.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import {Random} from '../../helpers/random.ts';
import {until} from '../../helpers/until.ts';
import {disturb} from './disturb.ts';
import {Visitor, type Weather} from './visitor.ts';
import {write} from './writes.ts';

/**
 * `npm run chaos -- --minutes 10 [--seed N]`: a replication-manager and two view-syncers serve clients that come and go,
 * under writes and schema changes, while connections are cut and processes are killed and restarted. Every half minute the
 * writes pause until all clients have the last one; then what each holds must be what PostgreSQL answers. Exit code 1
 * if it is not, if a client does not get there, or if a transaction was dead-locked.
 */
const {values} = parseArgs({options: {minutes: {type: 'string', default: '5'}, seed: {type: 'string'}}});
const endAtMs = Date.now() + Number(values.minutes) * 60_000;
const random = new Random(Number(values.seed ?? Math.floor(Math.random() * 2 ** 31)));
const VISITORS = 14;
const ROUND_MS = 25_000;
const PATIENCE_MS = 90_000;
const SECRET = 'between nodes';
const WITNESS = issueID(1);

const started = Date.now();
const say = (line: string) =>
  process.stdout.write(`${String(Math.round((Date.now() - started) / 1000)).padStart(4)} s  ${line}\n`);
watchInterrupts();
const postgres = await startBenchPostgres();
const url = await postgres.create('chaos');
const counts = await loadIssueTracker(url, 0.02);
const connect = async () => {
  const client = new pg.Client(url);
  await client.connect();
  return client;
};
const db = await connect();
const writer = await connect();
const start = (env: Readonly<Record<string, string>>) =>
  BenchServer.start({
    kind: 'ours',
    upstream: url,
    appID: 'chaos',
    env: {ZERO_CHANGE_STREAMER_SECRET: SECRET, ...env},
  });
const manager = await start({ZERO_NUM_SYNC_WORKERS: '0'});
const {hostname, port} = new URL(manager.url);
const behind = {
  ZERO_CHANGE_STREAMER_URI: `ws://${hostname}:${Number(port) + 1}`,
  ZERO_NUM_SYNC_WORKERS: '2',
};
const viewSyncers = [
  await start({...behind, ZERO_TASK_ID: 'one'}),
  await start({...behind, ZERO_TASK_ID: 'two'}),
];
say(`seed ${random.seed}: ${VISITORS} clients on two view-syncers`);

const weather: Weather = {quiet: false, over: false};
const urls = viewSyncers.map(server => server.url);
const witness = wireQuery(zql.issue.where('id', WITNESS));
const visitors = Array.from({length: VISITORS}, () => new Visitor(urls, random, counts, witness));
const reasons = new Map<string, number>();
const faults: string[] = [];

/** One comparison of all clients with PostgreSQL. */
const compare = async (round: number): Promise<void> => {
  const mark = `round ${round}`;
  await db.query(`UPDATE issue SET title = $1 WHERE id = $2`, [mark, WITNESS]);
  await until(
    () => visitors.every(visitor => visitor.seen(WITNESS) === mark),
    'all clients have the last change',
    PATIENCE_MS,
  );
  for (const visitor of visitors) {
    const found = await visitor.differences(db, WITNESS);
    if (found.length)
      faults.push(
        `round ${round}, group ${visitor.id}, ${found.length} issues, expected | got:\n${found.slice(0, 5).join('\n')}`,
      );
  }
  const {rows} = await db.query<{n: string}>(
    'SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()',
  );
  if (rows[0]!.n !== '0') faults.push(`${rows[0]!.n} transactions were dead-locked`);
};
const rounds = async () => {
  for (let round = 1; Date.now() < endAtMs && faults.length === 0; round++) {
    await sleep(ROUND_MS);
    weather.quiet = true;
    await compare(round);
    say(faults.length ? faults.join('\n') : `round ${round}: every client holds what PostgreSQL answers`);
    weather.quiet = false;
  }
};

const told = (reason: string) => {
  const kind = reason.replaceAll(/[0-9a-f]{12,}|\d{4,}/g, '#').slice(0, 160);
  reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
};
const parts = [
  rounds(),
  ...visitors.map(visitor => visitor.live(weather, told)),
  write(writer, random, counts, weather),
  disturb({manager, viewSyncers}, db, random, weather, say),
];
try {
  await Promise.race(parts);
} catch (error) {
  faults.push((error as Error).message);
  say(faults.at(-1)!);
}
weather.over = true;
await Promise.allSettled(parts);
for (const [reason, n] of reasons) say(`${n} connections ended: ${reason}`);
if (faults.length) for (const server of [manager, ...viewSyncers]) say(server.output().slice(-4000));
await Promise.all(viewSyncers.map(server => server.stop()));
await manager.stop();
await Promise.all([db.end(), writer.end()]);
await postgres.stop();
process.exit(faults.length ? 1 : 0);

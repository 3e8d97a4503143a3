import {parseArgs} from 'node:util';
import pg from 'pg';
import {loadIssueTracker} from '../../bench/data/load.ts';
import {issueID} from '../../bench/data/rows.ts';
import {BenchServer} from '../../bench/helpers/bench-server.ts';
import {watchInterrupts} from '../../bench/helpers/interrupt.ts';
import {startBenchPostgres} from '../../bench/helpers/postgres.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import {Random} from '../../helpers/random.ts';
import {until} from '../../helpers/until.ts';
import {disturb} from './disturb.ts';
import {Faults} from './faults.ts';
import {Network} from './network.ts';
import {Visitor, type Weather} from './visitor.ts';
import {write} from './writes.ts';

/**
 * `npm run chaos -- --minutes 10 [--seed N] [--nodes 1]`: a replication-manager and two view-syncers, or one node alone,
 * serve clients that come and go and write, under writes, schema changes and large transactions. All that the servers say
 * to PostgreSQL, to each other and to clients goes over a network that carries it in pieces, slowly, or not at all for
 * seconds; connections are cut or forgotten, and processes are killed and restarted. Every half minute the writes pause until all
 * clients have the last one; then what each holds must be what PostgreSQL answers. Exit code 1 if it is not, if a client
 * does not get there, if a server has met what it should not (`Faults`), or if a transaction was dead-locked.
 */
const {values} = parseArgs({
  options: {
    minutes: {type: 'string', default: '5'},
    seed: {type: 'string'},
    nodes: {type: 'string', default: '3'},
  },
});
const endAtMs = Date.now() + Number(values.minutes) * 60_000;
const random = new Random(Number(values.seed ?? Math.floor(Math.random() * 2 ** 31)));
const VISITORS = 14;
const ROUND_MS = 25_000;
/** A forgotten connection with a statement is given up after three quarters of a minute. */
const PATIENCE_MS = 120_000;
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
const network = new Network(random);
const upstream = await network.to('PostgreSQL', url, true);
const start = (env: Readonly<Record<string, string>>) =>
  BenchServer.start({
    kind: 'ours',
    upstream,
    appID: 'chaos',
    env: {
      ZERO_CHANGE_STREAMER_SECRET: SECRET,
      ZERO_NUM_SYNC_WORKERS: '2',
      ZERO_LOG_LEVEL: 'warn',
      ZERO_LOG_FORMAT: 'json',
      ...env,
    },
  });
const alone = values.nodes === '1';
const manager = await start(alone ? {} : {ZERO_NUM_SYNC_WORKERS: '0'});
const serving = [manager];
if (!alone) {
  const {hostname, port} = new URL(manager.url);
  const uri = await network.to('the replication-manager', `ws://${hostname}:${Number(port) + 1}`, true);
  serving.length = 0;
  for (const id of ['one', 'two'])
    serving.push(await start({ZERO_CHANGE_STREAMER_URI: uri, ZERO_TASK_ID: id}));
}
const servers = new Set([manager, ...serving]);
const urls = await Promise.all(
  serving.map((server, n) => network.to(`the clients' server ${n + 1}`, server.url, false)),
);
say(`seed ${random.seed}: ${VISITORS} clients on ${alone ? 'one node' : 'two view-syncers'}`);

const weather: Weather = {quiet: false, over: false};
const visitors = Array.from(
  {length: VISITORS},
  (_, n) => new Visitor(urls, random, counts, {witness: WITNESS, ownIssue: issueID(counts.issue - 1 - n)}),
);
const reasons = new Map<string, number>();
const told = (reason: string) => {
  const kind = reason.replaceAll(/[0-9a-f]{12,}|\d{4,}/g, '#').slice(0, 160);
  reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
};
const log = new Faults(alone ? 0 : serving.length, told);
const faults = log.found;
const look = (server: BenchServer) => log.ofServer(server.output());

/** One comparison of all clients with PostgreSQL. */
const compare = async (round: number): Promise<void> => {
  const mark = `round ${round}`;
  await db.query(`UPDATE issue SET title = $1 WHERE id = $2`, [mark, WITNESS]);
  await until(
    () => visitors.every(visitor => visitor.seen(WITNESS) === mark && visitor.settled),
    'all clients have the last change and know of their own',
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
    network.calm();
    await compare(round);
    say(faults.length ? faults.join('\n') : `round ${round}: every client holds what PostgreSQL answers`);
    weather.quiet = false;
  }
};

const parts = [
  rounds(),
  ...visitors.map(visitor => visitor.live(weather, reason => log.ofClient(reason))),
  write(writer, random, counts, weather),
  disturb({manager, serving, network, db, look}, random, weather, say),
];
try {
  await Promise.race(parts);
} catch (error) {
  faults.push((error as Error).message);
  say(faults.at(-1)!);
}
weather.over = true;
await Promise.allSettled(parts);
for (const server of servers) look(server);
log.close();
for (const fault of new Set(faults)) say(fault);
for (const [reason, n] of reasons) say(`${n} times: ${reason}`);
if (faults.length) for (const server of servers) say(server.output().slice(-4000));
await Promise.all(serving.map(server => server.stop()));
await manager.stop();
await network.close();
await Promise.all([db.end(), writer.end()]);
await postgres.stop();
process.exit(faults.length ? 1 : 0);

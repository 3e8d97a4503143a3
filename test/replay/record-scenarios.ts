import {appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import pg from 'pg';
import {replayWalCase} from '../../src/cli/replay-wal-case.ts';
import {parseLsn} from '../../src/pg/lsn.ts';
import {ensureShard} from '../../src/pg/shard.ts';
import {buildReplica, parseSnapshotRow} from '../../src/replay/build-replica.ts';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {
  type Fixture,
  ROWS_FILE,
  readFixture,
  readSchema,
  WAL_FILE,
  type WalCase,
} from '../../src/replay/fixture.ts';
import {jsonFields} from '../../src/replay/json-fields.ts';
import {readJsonLines, readLines} from '../../src/replay/lines.ts';
import {recordSnapshot} from '../../src/replay/record-snapshot.ts';
import {recordWal} from '../../src/replay/record-wal.ts';
import {VERSION_COLUMN} from '../../src/replica/table-spec.ts';
import {hasDebianPostgres, startDebianPostgres} from '../helpers/debian-postgres.ts';
import {startPostgres} from '../helpers/postgres-server.ts';
import {recordConversation} from './record-conversation.ts';

/**
 * Records every scenario of this folder from PostgreSQL 18 and, where Debian's is installed, 15 into `fixtures/wal`:
 * `npm run fixtures [-- NAME…]`. What a replay leaves is checked against what PostgreSQL holds in the end before it
 * becomes an expectation.
 */
const SCENARIOS = 'test/replay/scenarios';
const TARGET = 'fixtures/wal';
/** What clients say lies beside them; recorded from one version, since what is served does not depend on it. */
const CONVERSATIONS = 'test/replay/scenarios/conversations';

interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly partBytes: number | undefined;
  /** Event triggers announce schema changes. */
  readonly triggers: boolean;
  /** Code of the fault by which the chain is meant to end. */
  readonly fault: string | undefined;
  readonly setup: string;
  /**
   * Each runs as one simple query, so as one transaction unless it says otherwise. `@again` among them: the connection ends,
   * and PostgreSQL sends on a new one what was never acknowledged, from the beginning.
   */
  readonly changes: readonly string[];
}

const readScenario = (file: string): Scenario => {
  const [setup = '', changes = ''] = readFileSync(file, 'utf8').split(/^-- @changes\n/m);
  const option = (name: string) => new RegExp(`^-- @${name}\\b ?(.*)$`, 'm').exec(setup)?.[1];
  const partBytes = option('partBytes');
  return {
    name: basename(file, '.sql'),
    about: option('about') ?? '',
    partBytes: partBytes === undefined ? undefined : Number(partBytes),
    triggers: option('triggers') !== undefined,
    fault: option('fault'),
    setup: setup.includes('CREATE PUBLICATION')
      ? setup
      : `${setup}; CREATE PUBLICATION fixture FOR ALL TABLES WITH (publish_via_partition_root = true)`,
    changes: changes.split(/^---$/m).map(sql => sql.trim()),
  };
};

const record = async (
  scenario: Scenario,
  serverUrl: string,
  dir: string,
  conversation?: string,
): Promise<void> => {
  const name = `f_${scenario.name.replaceAll('-', '_')}`;
  const admin = new pg.Client(serverUrl);
  await admin.connect();
  await admin.query(`CREATE DATABASE "${name}"`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const client = new pg.Client(url.href);
  await client.connect();
  try {
    // Settings that show in the text of values are fixed, as fixtures from different machines must agree.
    await client.query(`SET timezone = 'UTC'`);
    await client.query(scenario.setup);
    rmSync(dir, {recursive: true, force: true});
    const publications = scenario.triggers
      ? (await ensureShard(client, {appID: 'fixture', shardNum: 0, publications: ['fixture']})).publications
      : ['fixture'];
    const source = {url: url.href, publications, dir};
    if (conversation) await recordConversation({...scenario, ...source, client, script: conversation});
    else await recordAll(source, scenario, client);
    await accept({...source, publications: recordingIn(dir).case.publications}, scenario, dir);
  } finally {
    await client.end();
    await admin.query(`DROP DATABASE "${name}" WITH (FORCE)`);
    await admin.end();
  }
};

type Source = {readonly url: string; readonly publications: readonly string[]; readonly dir: string};

const recordAll = async (source: Source, scenario: Scenario, client: pg.Client) => {
  const snapshot = await recordSnapshot({...source, about: scenario.about, partBytes: scenario.partBytes});
  const again = scenario.changes.indexOf('@again');
  if (again < 0) return recordChanges(source, snapshot, scenario.changes, client);
  // The temporary slot goes with its connection; a copy of it stands where it stood.
  const slot = `${snapshot.slot}_again`;
  await client.query('SELECT pg_copy_logical_replication_slot($1, $2, false)', [snapshot.slot, slot]);
  try {
    await recordChanges(source, snapshot, scenario.changes.slice(0, again), client);
    const rest = mkdtempSync(join(tmpdir(), 'zs-record-'));
    const {consistentPoint} = snapshot;
    await recordChanges(
      {...source, dir: rest},
      {slot, consistentPoint},
      scenario.changes.slice(again + 1),
      client,
    );
    appendFileSync(join(source.dir, WAL_FILE), readFileSync(join(rest, WAL_FILE)));
    rmSync(rest, {recursive: true});
  } finally {
    await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
  }
};

const recordChanges = async (
  source: Source,
  snapshot: Parameters<typeof recordWal>[0],
  changes: readonly string[],
  client: pg.Client,
) => {
  const done = new AbortController();
  let written = 0n;
  let target: bigint | null = null;
  const check = () => {
    if (target !== null && written >= target) done.abort();
  };
  let start: () => void = () => {};
  const started = new Promise<void>(resolve => (start = resolve));
  const wal = recordWal(snapshot, {
    ...source,
    bounds: {maxBytes: 10_000_000, maxMs: 60_000, signal: done.signal},
    onStart: start,
    onWritten: lsn => {
      written = lsn;
      check();
    },
  });
  await started;
  for (const sql of changes) await client.query(sql);
  const {rows} = await client.query<{lsn: string}>('SELECT pg_current_wal_lsn()::text AS lsn');
  target = parseLsn(rows[0]!.lsn);
  check();
  const {endedBy} = await wal;
  if (endedBy !== 'request') throw new Error(`recording ended by ${endedBy}`);
};

/** Replays, compares with a snapshot taken now, and only then writes the expectations. */
const accept = async (source: Source, {fault}: Scenario, dir: string) => {
  const work = mkdtempSync(join(tmpdir(), 'zs-record-'));
  try {
    const fixture = recordingIn(dir);
    await replayWalCase(fixture, {bless: true});
    const log = readFileSync(join(dir, 'expect.log.ndjson'), 'utf8');
    const ended = /^\{"fault":\{"code":"(\w+)"/m.exec(log)?.[1];
    if (ended !== fault)
      throw new Error(`${dir}: the chain ended by ${ended ?? 'no fault'}:\n${log.slice(-300)}`);
    if (fault) return;
    const now = join(work, 'now');
    const end = await recordSnapshot({...source, dir: now, about: 'the end'});
    await end.session.end();
    const db = await buildReplica(join(work, 'replica.db'), {
      schema: readSchema(now),
      replicaVersion: fixture.case.replicaVersion,
      publications: source.publications,
      rows: readJsonLines(join(now, ROWS_FILE), parseSnapshotRow),
    });
    const wanted = [...dumpReplica(db)].filter(isRow).map(withoutVersion);
    db.close();
    const got: string[] = [];
    for await (const line of readLines(join(dir, 'expect.replica.ndjson')))
      if (isRow(line)) got.push(withoutVersion(line));
    const at = wanted.findIndex((line, i) => line !== got[i]);
    if (at >= 0 || wanted.length !== got.length)
      throw new Error(
        `${dir}: the replay differs from PostgreSQL at row ${at}:\n  PostgreSQL ${wanted[at] ?? ''}\n  replay     ${got[at] ?? got[wanted.length] ?? ''}`,
      );
  } finally {
    rmSync(work, {recursive: true, force: true});
  }
};

const recordingIn = (dir: string) => readFixture(dir) as Fixture<WalCase>;

const isRow = (line: string) => line.startsWith('{"row"');

const withoutVersion = (line: string): string =>
  [...jsonFields(line)]
    .filter(([path]) => path !== `values.${VERSION_COLUMN}`)
    .map(([path, text]) => `${path}=${text}`)
    .join(' ');

const wantedNames = process.argv.slice(2);
const scenariosOf = (folder: string) =>
  readdirSync(folder)
    .filter(file => file.endsWith('.sql'))
    .sort()
    .map(file => readScenario(join(folder, file)))
    .filter(({name}) => wantedNames.length === 0 || wantedNames.includes(name));
const scenarios = scenariosOf(SCENARIOS);
const conversations = scenariosOf(CONVERSATIONS);
const servers = [
  {major: 18, start: () => startPostgres()},
  ...(hasDebianPostgres(15) ? [{major: 15, start: () => startDebianPostgres(15)}] : []),
];
let failed = 0;
const attempt = async (name: string, work: () => Promise<void>) => {
  try {
    await work();
    process.stdout.write(`✓ ${name}\n`);
  } catch (error) {
    failed++;
    process.stdout.write(`✗ ${name}: ${(error as Error).stack}\n`);
  }
};
for (const {major, start} of servers) {
  const server = await start();
  try {
    for (const scenario of scenarios) {
      const name = `${scenario.name}-pg${major}`;
      await attempt(name, () => record(scenario, server.url, join(TARGET, name)));
    }
    for (const {name, ...scenario} of major === 18 ? conversations : [])
      await attempt(name, () =>
        record({name, ...scenario}, server.url, join(TARGET, name), join(CONVERSATIONS, `${name}.ndjson`)),
      );
  } finally {
    await server.stop();
  }
}
process.exit(failed ? 1 : 0);

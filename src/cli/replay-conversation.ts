import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import type pg from 'pg';
import {createServing} from '../../pipelines/serving.ts';
import {PermissionsCache} from '../auth/permissions.ts';
import {CVR_PLANS, ensureCvrSchema} from '../cvr/schema.ts';
import {FixtureUnusable} from '../errors.ts';
import {StageBoard} from '../flow/stage.ts';
import {createQueryRegistry, type InspectableRegistry, LINGER_ROWS} from '../ivm/query-registry.ts';
import {silentLog} from '../observe/log.ts';
import {createPool} from '../pg/connect.ts';
import type {Version} from '../pg/lsn.ts';
import {Conductor} from '../replay/conversation/conductor.ts';
import {conversationsOf} from '../replay/conversation/files.ts';
import {type Line, parseConversationLine} from '../replay/conversation/line.ts';
import {PacedGroup} from '../replay/conversation/paced-group.ts';
import {firstReplica} from '../replay/first-replica.ts';
import type {Fixture, WalCase} from '../replay/fixture.ts';
import {LineWriter, parseLine, readLines} from '../replay/lines.ts';
import {type Outcome, settle} from '../replay/settle.ts';
import {WorkFolder} from '../replay/work-folder.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import {CommitTimes} from '../sync/commit-times.ts';
import {transformLocally} from '../sync/transform-locally.ts';
import {createScratchDatabase} from './scratch-database.ts';
import {WalSteps} from './wal-steps.ts';

/**
 * Replays what a server said with its clients: its query graphs and client groups do the same in the same order, from the
 * recorded replica and stream. Clients have no sockets here, the app's server is not asked, and view records are kept in a
 * database that is made in the given PostgreSQL and dropped. @throws FixtureUnusable
 */
export const replayConversation = async (
  fixture: Fixture<WalCase>,
  {bless, postgres}: {readonly bless: boolean; readonly postgres: string},
): Promise<Outcome> => {
  const started = performance.now();
  using work = new WorkFolder();
  const files = conversationsOf(fixture.dir);
  const database = await createScratchDatabase(postgres);
  const pool = createPool(database.url, {purpose: 'replay', setUp: CVR_PLANS, max: 4});
  const workers: WorkerReplay[] = [];
  let db: Database | undefined;
  let wal: WalSteps | undefined;
  try {
    db = await firstReplica(fixture, work.file('replica.db'));
    wal = new WalSteps(db, fixture);
    for (const file of files)
      workers.push(
        await WorkerReplay.open(join(fixture.dir, file), work.file(file), work.file('replica.db'), pool),
      );
    for (;;) {
      // Workers move on their own, so the one that is furthest behind goes first.
      const next = workers.map(({waitsFor}) => waitsFor).reduce(earlier, null);
      if (next === null) break;
      await reach(wal, db, next);
      for (const worker of workers) if (worker.waitsFor === next) await worker.goOn();
    }
    for (const worker of workers) worker.out.close();
    const outputs = files.map(name => ({name, got: work.file(name)}));
    const settled = await settle(fixture.dir, outputs, {bless});
    const sum = (of: (worker: WorkerReplay) => number) => workers.reduce((n, worker) => n + of(worker), 0);
    const reordered = sum(({conductor}) => conductor.reordered);
    return {
      ...settled,
      summary: `${sum(({conductor}) => conductor.messages)} messages to clients${
        reordered ? ` (${reordered} with the same rows in another order)` : ''
      }`,
      bytes: sum(({out}) => out.bytes),
      ms: performance.now() - started,
    };
  } finally {
    wal?.close();
    for (const worker of workers) await worker.close();
    db?.close();
    await pool.end();
    await database.drop();
  }
};

const earlier = (a: Version | null, b: Version | null): Version | null =>
  a === null || (b !== null && b < a) ? b : a;

/** Applies the recording up to a version. */
const reach = async (wal: WalSteps, db: Database, version: Version): Promise<void> => {
  while (readReplicaState(db).stateVersion < version) await wal.next();
  const {stateVersion} = readReplicaState(db);
  if (stateVersion !== version)
    throw new FixtureUnusable(
      `The recording has no version ${version}: after the last one comes ${stateVersion}.`,
    );
};

type Lines = AsyncGenerator<{readonly line: Line; readonly text: string}>;

/** One sync worker of the recorded server. */
class WorkerReplay {
  readonly conductor: Conductor;
  readonly out: LineWriter;
  readonly #lines: Lines;
  readonly #serving: ReturnType<typeof createServing>;
  readonly #registry: InspectableRegistry;
  /** Version that the replica must have before it goes on; null at the end. */
  waitsFor: Version | null;
  #next: string;

  private constructor(
    lines: Lines,
    begin: {readonly line: Line & {op: 'begin'}; readonly text: string},
    outFile: string,
    replicaFile: string,
    cvrPool: pg.Pool,
  ) {
    const {appID, shardNum, usePlanner, version} = begin.line;
    const shard = `${appID}_${shardNum}`;
    this.#lines = lines;
    this.#next = begin.text;
    this.waitsFor = version;
    this.out = new LineWriter(outFile);
    this.#registry = createQueryRegistry({
      replicaFile,
      appID,
      log: silentLog,
      slowHydrateMs: Number.POSITIVE_INFINITY,
      usePlanner,
      lingerRows: LINGER_ROWS,
    });
    const permissions = new PermissionsCache(() => this.#registry.permissionsRow());
    this.#serving = createServing({
      shard,
      taskID: 'replay',
      log: silentLog,
      board: new StageBoard(),
      times: new CommitTimes(),
      registry: this.#registry,
      cvrPool,
      transform: transformLocally(() => permissions.current()),
      lingerMs: 0,
    });
    this.#serving.makeGroup = (...made) => new PacedGroup(...made);
    this.conductor = new Conductor({serving: this.#serving, cvrPool, shard, out: this.out});
  }

  static async open(
    file: string,
    outFile: string,
    replicaFile: string,
    cvrPool: pg.Pool,
  ): Promise<WorkerReplay> {
    const lines = readConversation(file);
    const {value} = await lines.next();
    const line: Line | undefined = value?.line;
    if (line?.op !== 'begin') throw new FixtureUnusable(`${file} does not say how it begins.`);
    await ensureCvrSchema(cvrPool, `${line.appID}_${line.shardNum}`);
    return new WorkerReplay(lines, {line, text: value.text}, outFile, replicaFile, cvrPool);
  }

  /** Moves the query graphs to the replica's version and plays on until they are to be moved again. */
  async goOn(): Promise<void> {
    this.out.write(this.#next);
    const epoch = this.#registry.advance();
    if (epoch) this.#serving.deliver(epoch);
    for await (const {line, text} of remaining(this.#lines)) {
      if (line.op === 'begin') continue;
      if (line.op !== 'advance') {
        await this.conductor.play(line, text);
        continue;
      }
      this.#next = text;
      this.waitsFor = line.to;
      return;
    }
    await this.conductor.finish();
    this.waitsFor = null;
  }

  async close(): Promise<void> {
    await this.#lines.return(undefined);
    await this.#serving.stop(null, 0);
    this.#registry.close();
  }
}

/** Items of a generator that is not to be closed when the loop is left. */
const remaining = <T>(source: AsyncGenerator<T>): AsyncIterable<T> => ({
  [Symbol.asyncIterator]: () => ({next: () => source.next()}),
});

async function* readConversation(file: string): Lines {
  let n = 0;
  for await (const text of readLines(file))
    yield {line: parseLine(file, ++n, text, parseConversationLine), text};
}

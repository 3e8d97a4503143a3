import type pg from 'pg';
import {PermissionsCache} from '../src/auth/permissions.ts';
import {ensureCvrSchema} from '../src/cvr/schema.ts';
import {FixtureUnusable} from '../src/errors.ts';
import {StageBoard} from '../src/flow/stage.ts';
import {createQueryRegistry, type InspectableRegistry, LINGER_ROWS} from '../src/ivm/query-registry.ts';
import {silentLog} from '../src/observe/log.ts';
import type {Version} from '../src/pg/lsn.ts';
import {Conductor} from '../src/replay/conversation/conductor.ts';
import {type ConversationLines, readConversation} from '../src/replay/conversation/files.ts';
import type {Line} from '../src/replay/conversation/line.ts';
import {PacedGroup} from '../src/replay/conversation/paced-group.ts';
import {LineWriter} from '../src/replay/lines.ts';
import {CommitTimes} from '../src/sync/commit-times.ts';
import {transformLocally} from '../src/sync/transform-locally.ts';
import {createServing, type Serving} from './serving.ts';

/** One sync worker of a recorded server: its query graphs and its client groups do again what they did, at the pace of the recording. */
export class WorkerReplay {
  readonly conductor: Conductor;
  readonly out: LineWriter;
  readonly #lines: ConversationLines;
  readonly #serving: Serving;
  readonly #registry: InspectableRegistry;
  /** Version that the replica must have before it goes on; null at the end. */
  waitsFor: Version | null;
  #next: string;

  private constructor(
    lines: ConversationLines,
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

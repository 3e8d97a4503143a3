import {ProtocolError} from '../../protocol/error-body.ts';
import {ClientGroup, type GroupHooks} from '../../sync/client-group.ts';
import type {GroupDeps} from '../../sync/group-deps.ts';
import {namedQueriesOf} from '../../sync/transform-queries.ts';
import type {Line} from './line.ts';

/** Longest that a timer can wait: a group of a replay ends when the recorded one did. */
const NEVER_MS = 2 ** 31 - 1;

type Answer = Line & {readonly op: 'transformed'};

/** Lets one through for each value it is given, in order. */
class Gate<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  open(value: T): void {
    const next = this.#waiting.shift();
    if (next) next(value);
    else this.#values.push(value);
  }

  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  pass(): Promise<T> {
    if (this.#values.length) return Promise.resolve(this.#values.shift()!);
    return new Promise(resolve => this.#waiting.push(resolve));
  }
}

/** Where a group waits for its turn. */
class Pace {
  readonly load = new Gate<void>();
  readonly prepare = new Gate<number>();
  readonly fold = new Gate<void>();
  readonly poke = new Gate<void>();
  readonly answers = new Gate<Answer>();
  readonly folded = new Gate<void>();
  readonly poked = new Gate<void>();
}

/** A client group that takes each step only when it is told to: when the recorded one did. */
export class PacedGroup extends ClientGroup {
  readonly pace: Pace;

  constructor(id: string, deps: GroupDeps, hooks: GroupHooks) {
    const pace = new Pace();
    super(id, paced(deps, pace), hooks);
    this.pace = pace;
  }

  /** Begins a cycle, with what the recorded one found at this time. */
  startCycle(nowMs: number): void {
    if (!this.pace.prepare.isAwaited) this.wake();
    this.pace.prepare.open(nowMs);
  }

  override async prepare(): Promise<void> {
    const nowMs = await this.pace.prepare.pass();
    await super.prepare(nowMs);
    if (!this.ended) await this.pace.fold.pass();
  }

  override fold(): void {
    super.fold();
    this.pace.folded.open();
  }

  override async commit(): Promise<void> {
    await super.commit();
    if (!this.ended) await this.pace.poke.pass();
  }

  override poke(): void {
    super.poke();
    this.pace.poked.open();
  }
}

/** What the group learns from elsewhere comes at its place in the recording; the app's server is not asked. */
const paced = (deps: GroupDeps, pace: Pace): GroupDeps => ({
  ...deps,
  lingerMs: NEVER_MS,
  loader: {
    load: async (id, connectTimeMs) => {
      await pace.load.pass();
      return deps.loader.load(id, connectTimeMs);
    },
    rows: id => deps.loader.rows(id),
    version: id => deps.loader.version(id),
  },
  transform: async (queries, connection) => {
    const own = await deps.transform(queries, connection);
    if (namedQueriesOf(queries).length === 0) return own;
    const answer = await pace.answers.pass();
    if ('failed' in answer) throw new ProtocolError(answer.failed);
    return new Map([...own, ...answer.results]);
  },
});

import type pg from 'pg';
import {type Observable, Subject} from 'rxjs';
import {CatchUpReader} from '../src/cvr/catch-up.ts';
import {RowJournal} from '../src/cvr/journal.ts';
import {CvrLoader} from '../src/cvr/load.ts';
import {CvrStore, type LifeSign} from '../src/cvr/store.ts';
import type {StageBoard} from '../src/flow/stage.ts';
import type {Epoch, QueryRegistry} from '../src/ivm/registry.ts';
import type {Log} from '../src/observe/log.ts';
import type {Version} from '../src/pg/lsn.ts';
import type {ProtocolError} from '../src/protocol/error-body.ts';
import {ClientGroup, type GroupHooks, type MakeGroup} from '../src/sync/client-group.ts';
import type {CommitTimes} from '../src/sync/commit-times.ts';
import type {GroupDeps} from '../src/sync/group-deps.ts';
import {handOver} from '../src/sync/hand-over.ts';
import type {TransformQueries} from '../src/sync/transform-queries.ts';
import {Views} from '../src/sync/views.ts';
import {serveGroups} from './client-group.ts';

export interface ServingDeps {
  readonly shard: string;
  readonly taskID: string;
  readonly log: Log;
  readonly board: StageBoard;
  readonly times: CommitTimes;
  readonly registry: QueryRegistry;
  /** Its schema is there. */
  readonly cvrPool: pg.Pool;
  readonly transform: TransformQueries;
  readonly lingerMs: number;
}

export interface Serving {
  /** Those that have not ended, by id. */
  readonly groups: ReadonlyMap<string, ClientGroup>;
  readonly store: CvrStore;
  /** How groups are made from here on: replaced by what takes notes of them, or sets their pace. */
  makeGroup: MakeGroup;
  /** Each version that the query graphs are moved to, before any group hears of it. */
  readonly advanced: Observable<Version>;
  groupOf(id: string): ClientGroup;
  /** Tells groups of a step of the query graphs; called while these are at `epoch.to`. */
  deliver(epoch: Epoch): void;
  /** Where the TTL clocks of the groups stand. */
  live(): LifeSign[];
  /** Ends every group with this error, one after the other within `handOverMs`, then the chain; nothing is left unwritten. */
  stop(error: ProtocolError | null, handOverMs: number): Promise<void>;
}

/** The client groups of a worker: made when asked for, woken by what an epoch changed, served by the chain, kept in view records. */
export const createServing = (deps: ServingDeps): Serving => {
  const {shard, taskID, log, registry, cvrPool} = deps;
  const journal = new RowJournal(cvrPool, shard, log);
  const store = new CvrStore(cvrPool, shard, taskID, journal);
  journal.busy = () => store.isCommitting || registry.isHydrating;
  const groups = new Map<string, ClientGroup>();
  const views = new Views();
  const waiting = new Waiting(() => registry.version);
  const advanced = new Subject<Version>();
  const woken = new Subject<ClientGroup>();
  const chain = serveGroups(woken, deps.board, deps.times).subscribe();
  let stopping = false;
  const groupDeps: GroupDeps = {
    shard,
    log,
    registry,
    views,
    store,
    loader: new CvrLoader(cvrPool, shard, taskID, journal),
    catchUps: new CatchUpReader(cvrPool, shard, journal),
    transform: deps.transform,
    lingerMs: deps.lingerMs,
    reached: version => waiting.until(version),
  };
  const saveClocks = (ended: Iterable<ClientGroup>): Promise<void> =>
    store
      .touch(lifeSigns(ended))
      .catch(err => log.warn({err}, 'the lifetime of client groups could not be stored'));
  const hooks: GroupHooks = {
    onWake: group => woken.next(group),
    onEnd: ended => {
      if (groups.get(ended.id) === ended) groups.delete(ended.id);
      if (!stopping) void saveClocks([ended]);
    },
  };
  return {
    groups,
    store,
    makeGroup: (id, ...more) => new ClientGroup(id, ...more),
    advanced,
    groupOf(id) {
      let group = groups.get(id);
      if (!group || group.ended) groups.set(id, (group = this.makeGroup(id, groupDeps, hooks)));
      return group;
    },
    deliver(epoch) {
      advanced.next(epoch.to);
      if (epoch.schemaChanged || epoch.permissionsChanged)
        for (const group of groups.values()) group.invalidate(epoch.schemaChanged);
      for (const {graph, error} of epoch.failed)
        for (const group of groups.values()) group.graphFailed(graph, error);
      views.deliver(epoch.diffs);
      waiting.settle();
    },
    live: () => lifeSigns(groups.values()),
    async stop(error, handOverMs) {
      stopping = true;
      const served = [...groups.values()];
      await handOver(
        served.map(group => ({graphs: () => group.graphs(), leave: () => group.end(error)})),
        {budgetMs: handOverMs, sleep: ms => new Promise(resolve => setTimeout(resolve, ms))},
      );
      chain.unsubscribe();
      await saveClocks(served);
      await journal
        .drain()
        .catch(err => log.warn({err}, 'journaled rows are left to whoever loads them next'));
    },
  };
};

const lifeSigns = (groups: Iterable<ClientGroup>): LifeSign[] =>
  [...groups].flatMap(group => group.lifeSign() ?? []);

/** Promises of versions that the replica has not reached yet. */
class Waiting {
  readonly #version: () => Version;
  readonly #reached = new Subject<void>();

  constructor(version: () => Version) {
    this.#version = version;
  }

  settle(): void {
    this.#reached.next();
  }

  until(version: Version): Promise<void> {
    if (this.#version() >= version) return Promise.resolve();
    return new Promise(resolve => {
      const subscription = this.#reached.subscribe(() => {
        if (this.#version() < version) return;
        subscription.unsubscribe();
        resolve();
      });
    });
  }
}

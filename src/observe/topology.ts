import type {DaemonInspection} from './inspection.ts';

/** What stands at the ends of chains and is no stage. */
export const STORES = {
  postgres: 'PostgreSQL',
  replica: 'replica (SQLite)',
  'change-log': 'change log (PostgreSQL)',
  'view-records': 'view records (PostgreSQL)',
  clients: 'clients (WebSocket)',
  'app-server': "the app's server",
  'replication-manager': 'replication-manager',
} as const;

export type StoreName = keyof typeof STORES;

/** Stands in `WIRES` for each of the nodes that follow this one. */
export const FOLLOWERS = 'followers';

export interface ChainTopology {
  readonly name: string;
  readonly process: 'replicator' | 'sync-worker';
  /** In the order in which things pass through them. */
  readonly stages: readonly string[];
  /** Its stages run beside each other instead of one after the other. */
  readonly apart?: true;
  /** Not there in every server. */
  readonly optional?: true;
}

/**
 * The chains of `pipelines/` in the order of the way from the slot to the poke. A chain or stage that is missing here is
 * shown all the same, but unconnected and last.
 */
export const CHAINS: readonly ChainTopology[] = [
  {name: 'initial-sync', process: 'replicator', stages: ['copy', 'index']},
  {name: 'replication', process: 'replicator', stages: ['decode', 'batch', 'schema', 'apply', 'tee', 'ack']},
  // The one end is a replication-manager's, the others are a view-syncer's, which has them in the place of `replication`.
  {name: 'change-stream', process: 'replicator', stages: ['send', 'apply', 'consumed'], optional: true},
  {name: 'query', process: 'sync-worker', stages: ['advance', 'deliver']},
  {
    name: 'client-group',
    process: 'sync-worker',
    stages: ['gather', 'prepare', 'fold', 'commit', 'poke'],
  },
  {name: 'mutations', process: 'sync-worker', stages: ['limit', 'execute', 'answer']},
  {name: 'custom-mutations', process: 'sync-worker', stages: ['send', 'answer'], optional: true},
  {
    name: 'identity',
    process: 'sync-worker',
    stages: ['revalidate', 'retransform'],
    apart: true,
    optional: true,
  },
  {name: 'housekeeping', process: 'sync-worker', stages: ['sign-of-life', 'purge'], apart: true},
];

export interface Wire {
  /** A store, `FOLLOWERS`, or a stage with its chain: `replication.apply`. */
  readonly from: string;
  readonly to: string;
  readonly what?: string;
}

/** How chains hang together with each other and with what is stored; within a chain each stage feeds the next. */
export const WIRES: readonly Wire[] = [
  {from: 'postgres', to: 'initial-sync.copy', what: 'COPY'},
  {from: 'initial-sync.index', to: 'replica'},
  {from: 'postgres', to: 'replication.decode', what: 'slot'},
  {from: 'replication.apply', to: 'replica'},
  {from: 'replication.tee', to: 'change-log'},
  {from: 'replication.ack', to: 'postgres', what: 'durable position'},
  {from: 'replication.apply', to: 'query.advance', what: 'version ready'},
  {from: 'change-log', to: 'change-stream.send', what: 'catch-up'},
  {from: 'replication.tee', to: 'change-stream.send', what: 'live'},
  {from: 'change-stream.send', to: FOLLOWERS, what: 'changes'},
  {from: 'replication-manager', to: 'change-stream.apply', what: 'changes'},
  {from: 'change-stream.apply', to: 'replica'},
  {from: 'change-stream.consumed', to: 'replication-manager', what: 'consumed position'},
  {from: 'change-stream.apply', to: 'query.advance', what: 'version ready'},
  {from: 'replica', to: 'query.advance', what: 'snapshots'},
  {from: 'query.deliver', to: 'client-group.gather', what: 'diffs'},
  {from: 'client-group.commit', to: 'view-records'},
  {from: 'client-group.poke', to: 'clients', what: 'pokes'},
  {from: 'clients', to: 'mutations.limit', what: 'pushes'},
  {from: 'mutations.execute', to: 'postgres', what: 'transactions'},
  {from: 'mutations.answer', to: 'clients'},
  {from: 'clients', to: 'custom-mutations.send', what: 'pushes'},
  {from: 'custom-mutations.send', to: 'app-server'},
  {from: 'custom-mutations.answer', to: 'clients'},
  {from: 'identity.revalidate', to: 'app-server'},
  {from: 'identity.retransform', to: 'app-server'},
  {from: 'housekeeping.sign-of-life', to: 'view-records'},
  {from: 'housekeeping.purge', to: 'view-records'},
];

/** Whether changes come from another node, and not from a slot. */
export const followsNode = ({replicator}: DaemonInspection): boolean =>
  replicator?.follows != null || replicator?.stages.some(({name}) => name === 'change-stream.apply') === true;

/** `replication.apply` → `replication`; names of chains have no point. */
export const chainOf = (stage: string): string => stage.slice(0, stage.indexOf('.'));

/** Sorts by the place of a stage on the way; what is not known keeps its order and comes last. */
export const byPlace = <T extends {readonly name: string}>(stages: readonly T[]): T[] =>
  stages
    .map((stage, i) => ({stage, i, place: PLACES.get(stage.name) ?? Number.POSITIVE_INFINITY}))
    .sort((a, b) => (a.place === b.place ? a.i - b.i : a.place - b.place))
    .map(({stage}) => stage);

const PLACES = new Map(
  CHAINS.flatMap(({name, stages}) => stages.map(stage => `${name}.${stage}`)).map((name, i) => [name, i]),
);

import {choice, count, list, number, text} from '../option.ts';

const percent = {int: true, min: 0, max: 100, hidden: true} as const;
const positive = {int: true, min: 1, hidden: true} as const;
const noSqliteLog = {inert: 'the change log is kept in PostgreSQL'} as const;

/** What the daemon remembers in PostgreSQL, and how nodes pass changes on (config-ops.md §1.5). */
export const databaseOptions = {
  cvr: {
    db: text({
      secret: true,
      defaultText: 'upstream database',
      about:
        'PostgreSQL for client view records: what each client has already got. A session-mode pooler will do here.',
    }),
    maxConns: number({
      ...count,
      min: 1,
      default: 30,
      about:
        'Connections to the CVR database, in all. They are divided evenly among the sync workers, and each worker needs one.',
    }),
    maxConnsPerWorker: number({
      ...count,
      min: 1,
      hidden: true,
      about: 'Connections to the CVR database of each sync worker. Worked out from the total.',
    }),
    garbageCollectionInactivityThresholdHours: number({
      above: 0,
      default: 48,
      about:
        'Hours after which the record of a client that stayed away may be deleted. A client that comes back later starts anew.',
    }),
    garbageCollectionInitialIntervalSeconds: number({
      above: 0,
      default: 60,
      about: 'Seconds between looking for such records. Doubles up to 16 minutes while there are none.',
    }),
    garbageCollectionInitialBatchSize: number({
      ...count,
      default: 25,
      about:
        'Records deleted at a time. Grows by the same number while the backlog grows. 0 switches deletion off.',
    }),
  },
  change: {
    db: text({
      secret: true,
      defaultText: 'upstream database',
      about: 'PostgreSQL for the log of recent changes, from which other nodes catch up.',
    }),
    maxConns: number({
      ...count,
      min: 1,
      default: 5,
      about: 'Connections to the change database, in all.',
    }),
    statementTimeoutMs: number({
      ...count,
      min: 1,
      hidden: true,
      default: 20_000,
      about: 'Milliseconds a statement on the change log may take.',
    }),
    logBatchSize: number({
      ...positive,
      default: 2000,
      about: 'Rows written to the change log by one INSERT. 1 writes each on its own.',
    }),
  },
  changeStreamer: {
    uri: text({
      about:
        'Address of a replication-manager, such as ws://replication-manager:4849/. Makes this node a view-syncer, which takes its changes from there instead of replicating itself.',
    }),
    mode: choice(['dedicated', 'discover'], {
      default: 'dedicated',
      about:
        'discover: find the replication-manager by the address it left in the change database. Without effect when the address is given.',
    }),
    port: number({
      ...count,
      max: 65_535,
      defaultText: 'port + 1',
      about:
        'Port on which other nodes fetch changes and the replica. Without ZERO_CHANGE_STREAMER_SECRET whoever reaches it reads every row: a replication-manager keeps it private; a single node then listens on it for its own machine only.',
    }),
    secret: text({
      ours: true,
      secret: true,
      about:
        'Word that nodes show each other on the port of the change-streamer; the same on all of them. Without it the port must be private.',
    }),
    address: text({
      hidden: true,
      deprecated:
        'Needed only where view-syncers discover this node and cannot reach it under its own address.',
      defaultText: "this machine's address and the port",
      about:
        'Address under which view-syncers reach this node, as host:port, when they find it by ZERO_CHANGE_STREAMER_MODE=discover.',
    }),
    protocol: choice(['ws', 'wss'], {
      hidden: true,
      default: 'ws',
      deprecated: 'Give the protocol with ZERO_CHANGE_STREAMER_URI.',
      about: 'Protocol by which a view-syncer reaches a replication-manager that it has discovered.',
    }),
    discoveryInterfacePreferences: list({
      hidden: true,
      default: ['eth', 'en'],
      about: 'Beginnings of network interface names to prefer when choosing the address to announce.',
    }),
    startupDelayMs: number({
      ...count,
      inert: 'a new replication-manager takes over as soon as its replica is ready',
      default: 15_000,
      about:
        'Milliseconds that a new replication-manager waits, once ready, before it takes replication over from the old one.',
    }),
    backPressureLimitHeapProportion: number({
      inert: 'a fixed number of bytes waits for other nodes, and the rest in the change log',
      above: 0,
      max: 1,
      default: 0.04,
      about: 'Share of the JavaScript heap that changes waiting for other nodes may take.',
    }),
    flowControlConsensusTimeoutProportion: number({
      inert: 'each node reads at its own pace, and none waits for another',
      default: 2,
      about:
        'How long to wait for slow nodes once most have taken what was sent, as a multiple of the time those needed. Negative: do not wait.',
    }),
    flowControlConsensusPaddingSeconds: number({
      hidden: true,
      deprecated:
        'Use ZERO_CHANGE_STREAMER_FLOW_CONTROL_CONSENSUS_TIMEOUT_PROPORTION; this one has no effect.',
      about: 'Former name, of a different meaning. Ignored.',
    }),
    flowControlSlowSubscriberGracePeriodSeconds: number({
      default: 30,
      about:
        'Seconds after which a node that takes nothing of what was sent to it is cut off. It connects again and reads on from the change log. 0 and below: never.',
    }),
    sqliteChangeLogMode: choice(['off', 'write', 'compare', 'serve'], {
      ...noSqliteLog,
      hidden: true,
      default: 'off',
      about: 'Stages of keeping the change log in SQLite.',
    }),
    sqliteChangeLogReadPercent: number({
      ...noSqliteLog,
      ...percent,
      default: 0,
      about: 'Share of catch-ups read from the SQLite change log.',
    }),
    sqliteChangeLogColdReadPercent: number({
      ...noSqliteLog,
      ...percent,
      default: 0,
      about: 'Share of catch-ups from before the start read from the SQLite change log.',
    }),
    sqliteChangeLogComparePercent: number({
      ...noSqliteLog,
      ...percent,
      default: 1,
      about: 'Share of catch-ups compared between the two change logs.',
    }),
    sqliteChangeLogRetentionMs: number({
      ...noSqliteLog,
      ...positive,
      default: 60_000,
      about: 'Milliseconds for which the SQLite change log keeps changes.',
    }),
    sqliteChangeLogReadBatchRows: number({
      ...noSqliteLog,
      ...positive,
      default: 1000,
      about: 'Rows read at a time from the SQLite change log.',
    }),
    sqliteChangeLogPurgeBatchRows: number({
      ...noSqliteLog,
      ...positive,
      default: 1000,
      about: 'Rows deleted at a time from the SQLite change log.',
    }),
    sqliteChangeLogBarrierTimeoutMs: number({
      ...noSqliteLog,
      ...positive,
      default: 300_000,
      about: 'Milliseconds to wait for the SQLite change log to catch up.',
    }),
  },
  replicationLagReportIntervalMs: number({
    default: 30_000,
    later: 'the lag shown is that of the last transaction',
    about:
      'Milliseconds between probes sent through upstream that measure how far replication lags behind. 0 and below: none.',
  }),
};

import {choice, count, list, number, text} from '../option.ts';

const percent = {int: true, min: 0, max: 100, hidden: true} as const;
const positive = {int: true, min: 1, hidden: true} as const;
const noSqliteLog = {inert: 'the change log is kept in PostgreSQL'} as const;
const noOtherNodes = {later: 'this node serves alone'} as const;

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
      later: 'this node replicates by itself, so do not run it beside another of the same app id',
      about:
        'Address of a replication-manager, such as ws://replication-manager:4849/. Makes this node a view-syncer, which takes its changes from there instead of replicating itself.',
    }),
    mode: choice(['dedicated', 'discover'], {
      default: 'dedicated',
      later: 'this node replicates by itself, so do not run it beside another of the same app id',
      about:
        'discover: find the replication-manager by the address it left in the change database. Without effect when the address is given.',
    }),
    port: number({
      ...count,
      max: 65_535,
      defaultText: 'port + 1',
      about:
        'Port on which other nodes fetch changes. It must not be reachable from outside, as it asks for no password.',
    }),
    address: text({
      hidden: true,
      deprecated: 'Other nodes are told the address by ZERO_CHANGE_STREAMER_URI.',
      about: 'Address under which other nodes reach the change-streamer.',
    }),
    protocol: choice(['ws', 'wss'], {
      hidden: true,
      default: 'ws',
      deprecated: 'Give the protocol with ZERO_CHANGE_STREAMER_URI.',
      about: 'Protocol by which other nodes reach the change-streamer.',
    }),
    discoveryInterfacePreferences: list({
      ...noOtherNodes,
      hidden: true,
      default: ['eth', 'en'],
      about: 'Beginnings of network interface names to prefer when choosing the address to announce.',
    }),
    startupDelayMs: number({
      ...count,
      ...noOtherNodes,
      default: 15_000,
      about:
        'Milliseconds that a new replication-manager waits, once ready, before it takes replication over from the old one.',
    }),
    backPressureLimitHeapProportion: number({
      ...noOtherNodes,
      above: 0,
      max: 1,
      default: 0.04,
      about: 'Share of the JavaScript heap that changes waiting for other nodes may take.',
    }),
    flowControlConsensusTimeoutProportion: number({
      ...noOtherNodes,
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
      ...noOtherNodes,
      default: 30,
      about:
        'Seconds a node may lag without a break before it is told to stop. 0 and below: it may lag forever.',
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

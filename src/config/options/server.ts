import {count, flag, json, number, text} from '../option.ts';

const port = {...count, max: 65_535} as const;

/** The daemon itself: ports, identity, workers, time limits (config-ops.md §1.3, §1.6). */
export const serverOptions = {
  port: number({
    ...port,
    default: 4848,
    about:
      'Port of client connections, health checks and inspection. 0 takes any free port. The change-streamer uses the next port unless told otherwise.',
  }),
  taskID: text({
    defaultText: 'the task id on AWS ECS, otherwise random',
    about:
      'Name of this instance, different from that of every other. It appears in logs and marks which instance serves a client group.',
  }),
  serverVersion: text({
    defaultText: 'version of the package',
    about: 'Version string to log at start, for images that are versioned on their own.',
  }),
  adminPassword: text({
    secret: true,
    about:
      'Password for statistics, heap snapshots, inspect-pipeline and the client inspector. Required unless NODE_ENV is development.',
  }),
  autoReset: flag({
    default: true,
    about:
      'Rebuild the replica from PostgreSQL when replication cannot go on, for instance after the slot was lost. When off, the daemon stops and says why.',
  }),
  keepaliveTimeoutMs: number({
    ...count,
    min: 1,
    defaultText: '20000 on AWS ECS, otherwise off',
    about:
      'Drain and stop when no /keepalive request came for this many milliseconds. Counted from the first such request.',
  }),
  lazyStartup: flag({
    default: false,
    about:
      'Wait with everything, connections to PostgreSQL included, until the first client connects. Health checks do not count. For a single node only.',
  }),
  enableTelemetry: flag({
    default: true,
    inert: 'nothing is ever reported to anyone',
    about: 'Anonymous usage reports. This daemon sends none, whatever the value.',
  }),
  storageDBTmpDir: text({
    defaultText: 'temporary directory of the system',
    inert: 'query graphs keep no state in files',
    about: 'Directory for state files of query operators.',
  }),
  targetClientRowCount: number({
    ...count,
    hidden: true,
    default: 20_000,
    deprecated: 'It has no effect; remove it.',
    about: 'Ignored.',
  }),
  numSyncWorkers: number({
    ...count,
    defaultText: 'one less than the processors, at least 1',
    about:
      'Processes that serve clients. One processor is left to the replicator. 0 makes this node a replication-manager, which serves no clients itself.',
  }),
  clientGroupLingerMs: number({
    ours: true,
    ...count,
    default: 5000,
    about:
      'Milliseconds for which the queries of clients that are all gone are kept up to date, so that they find them when they come back. Longer costs memory and processor, shorter makes a lost connection dearer.',
  }),
  yieldThresholdMs: number({
    min: 0,
    default: 10,
    about:
      'Milliseconds a sync worker may spend on one query before others get their turn; at least 2. Smaller is fairer, larger wastes less time on switching.',
  }),
  enableQueryPlanner: flag({
    default: true,
    about: 'Choose from the statistics of the replica on which side to begin when a query uses EXISTS.',
  }),
  enableQueryCovering: flag({
    default: true,
    later: 'no covering statistics are logged',
    about: 'Log how well the queries of a client group cover one another.',
  }),
  queryHydrationStats: flag({
    about:
      'Count the rows that a slow query looked at and log the numbers. Costs a little; switch it on while looking for a missing index.',
  }),
  sqliteCorruptionChecks: flag({
    hidden: true,
    default: false,
    later: 'a damaged replica is rebuilt without further checks',
    about: "Run SQLite's integrity checks when damage to the replica is noticed.",
  }),
  websocketCompression: flag({
    default: false,
    about:
      'Compress messages to clients (permessage-deflate). Saves network for the price of processor time and memory per connection.',
  }),
  websocketCompressionOptions: json({
    about:
      'Settings of the compression as a JSON object, in the form that the ws package takes for perMessageDeflate.',
  }),
  websocketMaxPayloadBytes: number({
    ...count,
    min: 1,
    default: 10 * 1024 * 1024,
    about:
      'Longest message in bytes taken from a client. A longer one closes the connection with code 1009. Raise it when clients send large mutations.',
  }),
  cloudEvent: {
    sinkEnv: text({
      later: 'no events are sent',
      about: 'Name of the environment variable that holds the address of a CloudEvents sink.',
    }),
    extensionOverridesEnv: text({
      later: 'no events are sent',
      about:
        'Name of the environment variable that holds extension attributes for every event, as {"extensions": {…}}.',
    }),
  },
};

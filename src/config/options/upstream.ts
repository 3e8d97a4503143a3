import {choice, count, flag, list, number, text} from '../option.ts';

/** Where the data comes from, what is replicated of it, and into which file (config-ops.md §1.3). */
export const upstreamOptions = {
  upstream: {
    db: text({
      required: true,
      secret: true,
      about:
        'PostgreSQL to replicate from and to write mutations to, as a URL: postgres://user:password@host:5432/database. Logical replication needs a direct connection, so do not point it at a pooler such as PgBouncer. Characters like @ or / in the password are percent-encoded.',
    }),
    type: choice(['pg', 'custom'], {
      hidden: true,
      default: 'pg',
      about: 'Kind of upstream. Only pg is supported.',
    }),
    maxConns: number({
      ...count,
      min: 1,
      default: 20,
      about:
        'Connections to upstream for committing mutations, in all. They are divided evenly among the sync workers, and each worker needs one.',
    }),
    maxConnsPerWorker: number({
      ...count,
      min: 1,
      hidden: true,
      about: 'Connections to upstream of each sync worker. Worked out from the total.',
    }),
    pgReplicationSlotFailover: flag({
      about:
        'Create replication slots that a physical standby takes over (PostgreSQL 17 and later). After a failover replication then goes on where it was instead of starting anew.',
    }),
    pgStreamInboundTimeoutMs: number({
      ...count,
      defaultText: "twice the server's wal_sender_timeout",
      about:
        "Milliseconds of silence after which the replication connection is taken for dead and opened again. Without effect when the server's wal_sender_timeout is 0.",
    }),
  },
  app: {
    id: text({
      default: 'zero',
      about:
        "Name of the app. Schemas, publications and slots in PostgreSQL carry it, so that several apps can share a database. Lower-case letters, digits and underscores only. Changing it starts with a fresh replica and leaves the old name's objects behind.",
    }),
    publications: list({
      default: [],
      defaultText: 'every table of schema public',
      about:
        'Publications that choose which tables, columns and rows are replicated. They must exist. Left empty, the daemon keeps a publication of its own over all tables of schema public. Names that begin with an underscore are reserved. Changing the list rebuilds the replica.',
    }),
  },
  shard: {
    id: text({hidden: true, about: 'Not accepted any more; use the app id.'}),
    num: number({
      ...count,
      hidden: true,
      default: 0,
      about: 'Number of the shard, for tests that run several servers on one app.',
    }),
  },
  replica: {
    file: text({
      default: 'zero.db',
      about:
        'Path of the SQLite replica. Put it on a fast local disk with room for the published tables and their indexes. It may be lost: a missing file is synchronised again from PostgreSQL.',
    }),
    vacuumIntervalHours: number({
      min: 0,
      defaultText: 'never',
      about:
        'Compact the replica at start when this many hours have passed since the last time. While that runs, the disk needs room for a second copy of the file.',
    }),
  },
};

/**
 * Every error the daemon reports, with what it means and what follows. The docstring of each class is its entry
 * on the troubleshooting page: the code, what happened, and what the operator does about it.
 *
 * Codes: C = configuration · U = upstream PostgreSQL · R = replication and replica · Q = queries ·
 * G = client groups and CVRs · M = mutations · T = tools · D = development mode ·
 * P = programming error (ours).
 */

/** What the supervisor does: again from the watermark · rebuild the replica · tell this client · exit. */
export type Recovery = 'resume' | 'resync' | 'reject' | 'stop';

/** Messages never carry row values, claims or secrets. */
export abstract class DaemonError extends Error {
  abstract readonly code: string;
  abstract readonly recovery: Recovery;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** P001 — An invariant of ours does not hold. The process stops rather than serve a wrong answer; please report it. */
export class PipelineBug extends DaemonError {
  readonly code = 'P001';
  readonly recovery = 'stop' satisfies Recovery;
}

/** U001 — PostgreSQL cannot be reached or refuses the login. Check host, port, user, password and database of the URL named in the message. */
export class UpstreamUnreachable extends DaemonError {
  readonly code = 'U001';
  readonly recovery = 'resume' satisfies Recovery;
}

/** U002 — PostgreSQL is reachable but not set up for logical replication. The message names the setting or privilege and the statement that mends it. */
export class UpstreamUnfit extends DaemonError {
  readonly code = 'U002';
  readonly recovery = 'stop' satisfies Recovery;
}

/** U003 — A configured publication is missing or does not publish all of insert, update, delete and truncate. Create or alter it as the message says, or correct `ZERO_APP_PUBLICATIONS`. */
export class PublicationUnfit extends DaemonError {
  readonly code = 'U003';
  readonly recovery = 'stop' satisfies Recovery;
}

/** R001 — The replication slot is missing, lost or invalidated, so the replica cannot go on; it is rebuilt. */
export class SlotUnusable extends DaemonError {
  readonly code = 'R001';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R002 — The published schema changed in a way that is not applied live; the replica is rebuilt. */
export class SchemaChanged extends DaemonError {
  readonly code = 'R002';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R003 — The replica file is damaged, of another version, or belongs to another database; it is rebuilt. */
export class ReplicaUnusable extends DaemonError {
  readonly code = 'R003';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R004 — The WAL stream holds something that cannot be decoded or applied; the replica is rebuilt. */
export class StreamUndecodable extends DaemonError {
  readonly code = 'R004';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R005 — The replica cannot be written: disk full, read-only, or a bad path. Free space or correct `ZERO_REPLICA_FILE`; nothing was skipped. */
export class ReplicaUnwritable extends DaemonError {
  readonly code = 'R005';
  readonly recovery = 'stop' satisfies Recovery;
}

/** R006 — Another replication-manager has taken over the slot or the change log; this one stops without a reset. */
export class TakenOver extends DaemonError {
  readonly code = 'R006';
  readonly recovery = 'stop' satisfies Recovery;
}

/** R007 — The disk that holds the replica is full. Nothing is lost or skipped: clients keep what they have, PostgreSQL keeps the WAL, and replication goes on by itself when there is room. */
export class DiskFull extends DaemonError {
  readonly code = 'R007';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R008 — Upstream is behind the replica or has another history: it was restored from a backup, or failed over to a standby that lacked the last commits. Going on would mix the two histories, so the replica is rebuilt from what upstream has now. */
export class UpstreamRewound extends DaemonError {
  readonly code = 'R008';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R009 — An initial sync was interrupted: a connection broke, or a table was altered while it was copied. What it had made is dropped, and it starts anew. */
export class SyncInterrupted extends DaemonError {
  readonly code = 'R009';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R010 — A publication was dropped, or dropped and created again; changes in between were not published. The replica is rebuilt. */
export class PublicationReplaced extends DaemonError {
  readonly code = 'R010';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R011 — The change log's database cannot be reached or is too slow. Nothing is acknowledged meanwhile, so PostgreSQL keeps the WAL; replication goes on by itself. Check `ZERO_CHANGE_DB`. */
export class ChangeLogUnavailable extends DaemonError {
  readonly code = 'R011';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R012 — A node asks for changes that the change log does not hold any more. It fetches the replica anew. */
export class WatermarkTooOld extends DaemonError {
  readonly code = 'R012';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R013 — PostgreSQL keeps much WAL for the slot, or is about to drop what the slot still needs. Replication works; while this stands, disk fills upstream or a rebuild comes nearer. Look for what holds the position back (another fault, or a transaction that has been open for long in `pg_stat_activity`), or raise `max_slot_wal_keep_size`. */
export class SlotInDanger extends DaemonError {
  readonly code = 'R013';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R014 — Something that is published does not reach clients, or PostgreSQL refuses to change it: a type that cannot be synced, a table without a key or replica identity, a name that is not allowed. Or no table is published at all. Everything else is replicated; the message says what would help. */
export class NotReplicated extends DaemonError {
  readonly code = 'R014';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R015 — Another session streams from the slot, and the upstream role may not end it. Only one can stream at a time: end the other one (`SELECT pg_terminate_backend(pid)`), or find out which server of the same app and shard it belongs to. */
export class SlotBusy extends DaemonError {
  readonly code = 'R015';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R016 — Another server that runs keeps its replica in the same file, and would find it rebuilt. Give each a file of its own with `ZERO_REPLICA_FILE`. */
export class ReplicaInUse extends DaemonError {
  readonly code = 'R016';
  readonly recovery = 'stop' satisfies Recovery;
}

/** R020 — Another node cannot hand out its replica now: it does not answer, is starting, or its disk has no room for a copy. The node that asks waits and tries again; the message says what for. Check `ZERO_CHANGE_STREAMER_URI` and that the other node runs. */
export class SnapshotUnavailable extends DaemonError {
  readonly code = 'R020';
  readonly recovery = 'resume' satisfies Recovery;
  /** The other node is at it: it copies its replica, or serves others first. */
  readonly isComing: boolean;

  constructor(message: string, {isComing = false, ...options}: ErrorOptions & {isComing?: boolean} = {}) {
    super(message, options);
    this.isComing = isComing;
  }
}

/** R021 — A replica that came from another node is not what was sent: its length, digest or version differs. It is thrown away and fetched again. Seen often, look for faulty memory, disks or proxies. */
export class SnapshotDamaged extends DaemonError {
  readonly code = 'R021';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R022 — Another node refuses this one: their secrets differ. Give all nodes the same. */
export class NodeRefused extends DaemonError {
  readonly code = 'R022';
  readonly recovery = 'stop' satisfies Recovery;
}

/** R030 — A view-syncer's connection to its replication-manager cannot be had or broke: it does not answer, is starting, speaks another version of the protocol, or was silent for too long. The view-syncer goes on serving what it has and tries again. Check `ZERO_CHANGE_STREAMER_URI`, and update replication-managers before view-syncers. */
export class ChangeStreamUnavailable extends DaemonError {
  readonly code = 'R030';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R031 — A view-syncer's replica is not a copy of its replication-manager's, which was built anew meanwhile. It fetches the new one. */
export class WrongReplicaVersion extends DaemonError {
  readonly code = 'R031';
  readonly recovery = 'resync' satisfies Recovery;
}

/** R032 — A view-syncer took nothing of what waited for it for `ZERO_CHANGE_STREAMER_FLOW_CONTROL_SLOW_SUBSCRIBER_GRACE_PERIOD_SECONDS`, so the replication-manager gave it up. It connects again and reads on from the change log. Seen often, its disk or processor is too slow. */
export class StreamTooFarBehind extends DaemonError {
  readonly code = 'R032';
  readonly recovery = 'resume' satisfies Recovery;
}

/** R033 — The port on which other nodes fetch changes is in use by another program. Choose another with `ZERO_CHANGE_STREAMER_PORT`. A single node only warns of it and serves on. */
export class ChangeStreamerPortTaken extends DaemonError {
  readonly code = 'R033';
  readonly recovery = 'stop' satisfies Recovery;
}

/** Q001 — A query cannot be answered: an unknown table or column, an operand of the wrong type, EXISTS nested too deeply, or a row that would be in it and cannot be sent: an unsafe integer, or JSON of more than 1,000 levels. The message names what it is. */
export class QueryError extends DaemonError {
  readonly code = 'Q001';
  readonly recovery = 'reject' satisfies Recovery;
}

/** M001 — The deployed permissions cannot be read: they may come from a newer release of `zero-deploy-permissions`, or were written by hand. Deploy them again with a matching one. Until then nobody may read or write by them: clients keep the rows they have, and come back every few seconds until it is over. Queries and mutations that the app's own server answers go on. */
export class PermissionsUnreadable extends DaemonError {
  readonly code = 'M001';
  readonly recovery = 'reject' satisfies Recovery;
}

/** M002 — A mutation names a table or column that upstream does not have, or a value that its column cannot hold. Nothing of it was applied. */
export class BadMutation extends DaemonError {
  readonly code = 'M002';
  readonly recovery = 'reject' satisfies Recovery;
}

/** D001 — Development mode cannot start, for the reason and with the remedy that the message names. What is in `.zero/` is left as it is; `zerostream dev --reset` begins anew. */
export class DevelopmentImpossible extends DaemonError {
  readonly code = 'D001';
  readonly recovery = 'stop' satisfies Recovery;
}

/** T001 — A fixture cannot be replayed or recorded: a file is missing, damaged or of another format, or cannot be written. The message names file and line; record the fixture again, or replay it with the release that wrote it. */
export class FixtureUnusable extends DaemonError {
  readonly code = 'T001';
  readonly recovery = 'stop' satisfies Recovery;
}

/** M003 — PostgreSQL kept refusing a mutation's transaction because of concurrent changes, or could not be reached. Nothing of the mutation was applied; its client comes back with it after a pause. Many of these point to rows that every client writes, or to an upstream that is down. */
export class UpstreamBusy extends DaemonError {
  readonly code = 'M003';
  readonly recovery = 'reject' satisfies Recovery;
}

/** T002 — A tool cannot have what it wants of a running server: nobody answers at its address, the admin password is missing or wrong, or the server ended the connection. The message says which; start the server, or give `--password`. */
export class ServerRefused extends DaemonError {
  readonly code = 'T002';
  readonly recovery = 'stop' satisfies Recovery;
}

/**
 * C001 — The configuration cannot be used. Each line of the message names an option, what is wrong with it and what to
 * do; all of them are reported at once, and nothing was started. `--help` lists every option.
 */
export class ConfigError extends DaemonError {
  readonly code = 'C001';
  readonly recovery = 'stop' satisfies Recovery;

  /** @param problems one line each, without secret values. */
  constructor(
    readonly problems: readonly string[],
    options?: ErrorOptions,
  ) {
    super(['the configuration cannot be used:', ...problems].join('\n  '), options);
  }
}

/** Something that needs attention now. */
export interface Fault {
  /** Of the error, as on the troubleshooting page: `R001`. */
  readonly code: string;
  /** `fault`: nothing is replicated, or clients are not served, until it is over. `warning`: everything goes on. */
  readonly severity: 'fault' | 'warning';
  readonly what: string;
  /** What to do about it, in a sentence. */
  readonly remedy: string;
  /** Wall clock in ms. */
  readonly sinceMs: number;
}

export interface PastFault extends Fault {
  readonly untilMs: number;
}

const REMEDIES: Readonly<Record<string, string>> = {
  U001: 'See that PostgreSQL runs and can be reached from here; replication goes on by itself.',
  U002: 'Do what the message says, then start again.',
  M001: 'Deploy the permissions again with the zero-deploy-permissions of @rocicorp/zero 1.9; clients come back by themselves.',
  R001: 'Nothing; the replica is rebuilt by itself. To avoid it, raise max_slot_wal_keep_size or keep outages short.',
  R002: 'Nothing; the replica is rebuilt by itself.',
  R003: 'Nothing; the replica is rebuilt by itself. If it comes again, look at disk and memory.',
  R004: 'Nothing; the replica is rebuilt by itself. Please report it.',
  R005: 'Free space, or correct ZERO_REPLICA_FILE.',
  R006: 'Nothing, if another replication-manager was meant to take over.',
  R007: 'Free space on the disk of the replica; replication goes on by itself.',
  R008: 'Nothing; the replica is rebuilt from what upstream has now.',
  R009: 'Nothing; the initial sync starts anew by itself.',
  R010: 'Nothing; the replica is rebuilt by itself. Alter publications instead of creating them anew.',
  R011: 'See that the database of ZERO_CHANGE_DB runs and nobody locks its tables; replication goes on by itself.',
  R012: 'Nothing; the replica is fetched anew by itself.',
  R013: 'Find what holds the slot back (another fault, an old transaction in pg_stat_activity), or raise max_slot_wal_keep_size.',
  R014: 'Do what the message says, or leave it if clients do not need it.',
  R015: 'End the other session with pg_terminate_backend, or stop the server it belongs to.',
  R030: 'See that the replication-manager runs and can be reached from here; this node goes on by itself.',
  R031: 'Nothing; the replica is fetched anew by itself.',
  R032: 'Look for what slows this node down, its disk first; it goes on by itself.',
  R033: 'Choose another port with ZERO_CHANGE_STREAMER_PORT.',
};

export const remedyOf = (code: string): string => REMEDIES[code] ?? 'See the troubleshooting page.';

/** Codes for which there is a remedy. */
export const REMEDIED = Object.keys(REMEDIES);

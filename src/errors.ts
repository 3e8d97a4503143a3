/**
 * Every error the daemon reports, with what it means and what follows. The docstring of each class is its entry
 * on the troubleshooting page: the code, what happened, and what the operator does about it.
 *
 * Codes: C = configuration · U = upstream PostgreSQL · R = replication and replica · Q = queries ·
 * G = client groups and CVRs · M = mutations · P = programming error (ours).
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

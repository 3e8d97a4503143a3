import {defer, Observable, of, retry, throwError, timer} from 'rxjs';
import {DaemonError, type Recovery} from '../src/errors.ts';
import type {Log} from '../src/observe/log.ts';
import {upstreamFault} from '../src/pg/upstream-fault.ts';
import {replicaError} from '../src/replica/classify-error.ts';
import {deleteReplica} from '../src/replica/open.ts';
import type {ReplicatorEvent} from '../src/replication/events.ts';
import type {ReplicatorStatus} from '../src/replication/status.ts';

const FIRST_DELAY_MS = 25;
const MAX_DELAY_MS = 10_000;

export interface Supervision {
  readonly log: Log;
  readonly status: ReplicatorStatus;
  /** The replica. */
  readonly file: string;
  /** Subscribed to again after each fault. It calls `onProgress` when something has come through. */
  readonly stream: (onProgress: () => void) => Observable<ReplicatorEvent>;
  /** Whether a replica that cannot go on is thrown away. */
  readonly rebuilds: boolean;
  /** Whether a fault that may pass is waited out, or is a wrong setting. */
  readonly waitsOut: () => boolean;
}

/**
 * Answers each fault of a replicator by its recovery: again from the watermark, with pauses that grow until something comes
 * through · the replica anew · end with the error.
 */
export const supervise = ({
  log,
  status,
  file,
  stream,
  rebuilds,
  waitsOut,
}: Supervision): Observable<ReplicatorEvent> => {
  let delayMs = FIRST_DELAY_MS;
  /** Faults since something came through: a second rebuild in a row is not done at once. */
  let rebuilt = false;
  let discards = false;
  const onProgress = () => {
    delayMs = FIRST_DELAY_MS;
    rebuilt = false;
  };
  const pause = (): Observable<unknown> => {
    const wait = timer(delayMs);
    delayMs = Math.min(delayMs * 2, MAX_DELAY_MS);
    return wait;
  };

  /** Emits when the stream is to be subscribed to again. */
  const recover = (raw: unknown, tell: (event: ReplicatorEvent) => void): Observable<unknown> => {
    const error = replicaError(raw) ?? upstreamFault(raw) ?? raw;
    const recovery: Recovery = error instanceof DaemonError ? error.recovery : 'stop';
    if (recovery === 'resync' && rebuilds) {
      const {code, message} = error as DaemonError;
      log.warn({code}, `${message} The replica is rebuilt.`);
      status.recovered(code, message);
      status.faults.set('replication', error as DaemonError, 'fault');
      tell({type: 'recovery', code, reason: message});
      const wait = rebuilt ? pause() : of(null);
      rebuilt = true;
      discards = true;
      return wait;
    }
    if (recovery === 'resume' && waitsOut()) {
      if (status.state === 'streaming') status.state = 'reconnecting';
      const {code, message} = error as DaemonError;
      status.faults.set('replication', error as DaemonError, 'fault');
      log[delayMs > 5000 ? 'error' : 'warn']({code}, `${message} Trying again in ${delayMs} ms.`);
      return pause();
    }
    if (recovery === 'resync')
      log.error('The replica would have to be rebuilt, which ZERO_AUTO_RESET forbids: the server stops.');
    status.state = 'stopped';
    return throwError(() => error);
  };

  const begin = (): Observable<ReplicatorEvent> => {
    // Here nobody has the file open any more.
    if (discards) deleteReplica(file);
    discards = false;
    return stream(onProgress);
  };
  return new Observable(out =>
    // Not by a subscription within the one that failed: after hours without PostgreSQL they would be too many to pass through.
    defer(begin)
      .pipe(retry({delay: error => recover(error, event => out.next(event))}))
      .subscribe(out),
  );
};

import {asyncScheduler, type MonoTypeOperatorFunction, Observable, type SchedulerLike} from 'rxjs';
import type {ClientConnection} from '../sync/types.ts';
import type {KeyedLimiter} from './sliding-window.ts';

/** A mutation with the connection it came by. */
export interface Limited {
  readonly connection: ClientConnection;
  readonly mutation: {readonly clientID: string; readonly id: number};
}

export interface LimitOptions {
  readonly limiter: KeyedLimiter;
  /** Hears of a connection whose mutations have to wait, once until all of them are through. */
  readonly tell: (connection: ClientConnection) => void;
  /** Hears of a connection that has more waiting than is kept; what waits of it is dropped when it closes. */
  readonly overflow: (connection: ClientConnection) => void;
  /** Most mutations of one user that are kept waiting. */
  readonly maxHeld: number;
}

const SHORTEST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 1000;

/** Who is counted together: a user, or a client group of the logged out. Who only says to be a user uses up nobody's room. */
const userKey = ({userID, clientGroupID, auth}: ClientConnection): string =>
  userID === null ? `g${clientGroupID}` : `${auth.kind} ${userID}`;

/**
 * Lets mutations through as far as their user's window allows. The others are held in order, those behind them too, and
 * go on when room returns: a client that is told of the limit does not send again by itself. What comes twice meanwhile
 * is held once, and what a closed connection left behind is dropped, since its client comes back with it.
 */
export const limitMutations =
  <T extends Limited>(
    {limiter, tell, overflow, maxHeld}: LimitOptions,
    clock: SchedulerLike = asyncScheduler,
  ): MonoTypeOperatorFunction<T> =>
  source =>
    new Observable(out => {
      const held = new Map<string, Held<T>>();
      const pauseMs = Math.min(Math.max(limiter.averagePauseMs, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS);
      /** @returns whether something still waits. */
      const release = (key: string, waiting: Held<T>): boolean => {
        waiting.dropClosed();
        for (let first = waiting.first; first; first = waiting.first) {
          if (!limiter.allow(key)) return true;
          waiting.shift();
          out.next(first);
        }
        held.delete(key);
        return false;
      };
      const hold = (key: string): Held<T> => {
        const waiting = new Held<T>();
        held.set(key, waiting);
        const action = clock.schedule(function () {
          if (release(key, waiting)) this.schedule(undefined, pauseMs);
          else action.unsubscribe();
        }, pauseMs);
        out.add(action);
        return waiting;
      };
      return source.subscribe({
        next: request => {
          const {connection} = request;
          const key = userKey(connection);
          const behind = held.get(key);
          if (!behind && limiter.allow(key)) return out.next(request);
          const waiting = behind ?? hold(key);
          if (waiting.size >= maxHeld) return overflow(connection);
          waiting.push(request);
          if (!waiting.told.has(connection)) {
            waiting.told.add(connection);
            tell(connection);
          }
        },
        error: error => out.error(error),
        complete: () => out.complete(),
      });
    });

/** Mutations of one user that wait, oldest first, each once. */
class Held<T extends Limited> {
  readonly told = new Set<ClientConnection>();
  readonly #requests = new Map<string, T>();

  get size(): number {
    return this.#requests.size;
  }

  get first(): T | undefined {
    return this.#requests.values().next().value;
  }

  push(request: T): void {
    const key = keyOf(request);
    const known = this.#requests.get(key);
    // The connection it came by before may be gone; its place in the row is kept.
    if (!known || known.connection.closed) this.#requests.set(key, request);
  }

  shift(): void {
    for (const key of this.#requests.keys()) return void this.#requests.delete(key);
  }

  dropClosed(): void {
    for (const [key, {connection}] of this.#requests) if (connection.closed) this.#requests.delete(key);
  }
}

const keyOf = ({connection, mutation}: Limited): string =>
  `${connection.clientGroupID}\0${mutation.clientID}\0${mutation.id}`;

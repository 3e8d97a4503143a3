import {fromEvent, type Observable, of, take} from 'rxjs';
import type {WebSocket} from 'ws';
import * as z from 'zod';
import type {LogPart} from '../change-log/follow.ts';
import {WatermarkTooOld} from '../errors.ts';
import type {SubscriberInspection} from '../observe/inspection.ts';
import type {Version} from '../pg/lsn.ts';
import type {Reservation} from './floor.ts';
import {keepAlive} from './keep-alive.ts';
import {
  type Consumed,
  parseJson,
  type Refusal,
  type Subscription,
  type ToSubscriber,
  WINDOW_BYTES,
} from './wire.ts';

export interface SubscriberOptions {
  readonly pingMs: number;
  /** One that takes nothing of what waits for it for so long is given up; 0: never. */
  readonly graceMs: number;
  readonly windowBytes?: number;
}

const consumed: z.ZodType<Consumed> = z.object({
  type: z.literal('consumed'),
  bytes: z.number().int().nonnegative(),
  watermark: z.string().regex(/^[0-9a-z.]+$/),
});

/**
 * Another node that follows our changes, at its own pace: at most a window of bytes is on the way to it, and it says what it
 * has consumed. Nobody waits for it; what it still needs of the change log stays there.
 */
export class Subscriber {
  readonly subscription: Subscription;
  /** Aborted when the connection is gone. */
  readonly signal: AbortSignal;
  readonly #ws: WebSocket;
  readonly #reservation: Reservation;
  readonly #windowBytes: number;
  readonly #facts: {readonly address: string; readonly connectedAtMs: number};
  readonly #timer: NodeJS.Timeout;
  #sentBytes = 0;
  #sentVersion: Version;
  #consumedBytes = 0;
  #consumedVersion: Version;
  /** What is on the way, oldest first: where it ends in all that was sent, and since when; one entry per ms at most. */
  readonly #onTheWay: {end: number; readonly sinceMs: number}[] = [];
  #lagMs: number | null = null;
  #progressAtMs = Date.now();
  #live = false;
  #room: (() => void)[] = [];

  constructor(
    ws: WebSocket,
    subscription: Subscription,
    address: string,
    reservation: Reservation,
    {pingMs, graceMs, windowBytes = WINDOW_BYTES}: SubscriberOptions,
  ) {
    this.#ws = ws;
    this.subscription = subscription;
    this.#reservation = reservation;
    this.#windowBytes = windowBytes;
    this.#facts = {address, connectedAtMs: Date.now()};
    this.#sentVersion = subscription.watermark;
    this.#consumedVersion = subscription.watermark;
    const gone = new AbortController();
    this.signal = gone.signal;
    ws.on('message', data => this.#hear(String(data)));
    ws.on('error', () => ws.terminate());
    this.#timer = setInterval(() => this.#judge(graceMs), Math.max(20, Math.min(1000, graceMs / 4)));
    ws.once('close', () => {
      clearInterval(this.#timer);
      gone.abort();
      this.#wake();
    });
    keepAlive(ws, pingMs);
  }

  get watermark(): Version {
    return this.#consumedVersion;
  }

  /** Emits and completes when the connection is gone. */
  get gone(): Observable<unknown> {
    return this.signal.aborted ? of(null) : fromEvent(this.signal, 'abort').pipe(take(1));
  }

  /** Resolves when there is room for more, or the subscriber is gone. */
  async room(): Promise<void> {
    while (!this.signal.aborted && this.#bytesInFlight >= this.#windowBytes)
      await new Promise<void>(resolve => this.#room.push(resolve));
  }

  greet(replicaVersion: Version, watermark: Version): void {
    this.#say({type: 'status', replicaVersion, watermark});
  }

  send({lines, version, live}: LogPart): void {
    // Who had consumed everything has not been slow while there was nothing.
    if (this.#bytesInFlight === 0) this.#progressAtMs = Date.now();
    this.#sentBytes += lines.length;
    this.#sentVersion = version ?? this.#sentVersion;
    this.#live = live;
    const sinceMs = Date.now();
    const last = this.#onTheWay.at(-1);
    if (last?.sinceMs === sinceMs) last.end = this.#sentBytes;
    else this.#onTheWay.push({end: this.#sentBytes, sinceMs});
    this.#ws.send(lines);
  }

  /** Says why, and ends the connection. */
  refuse(error: Refusal, message: string): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    // One that must fetch the replica anew needs nothing of what it asked for.
    if (error !== 'StreamTooFarBehind') this.#reservation.release();
    this.#say({type: 'error', error, message});
    this.#ws.close(4000, error);
    // One that reads nothing will not close either.
    setTimeout(() => this.#ws.terminate(), CLOSE_MS).unref();
  }

  /** Its changes cannot be read: because they are not there any more, or for now. */
  fail(error: unknown): void {
    if (error instanceof WatermarkTooOld) this.refuse('WatermarkTooOld', error.message);
    else this.close();
  }

  /** Ends the connection; the subscriber comes back. */
  close(): void {
    this.#ws.close(1012, 'restarting');
    setTimeout(() => this.#ws.terminate(), CLOSE_MS).unref();
  }

  inspect(): SubscriberInspection {
    const oldest = this.#onTheWay[0];
    return {
      taskID: this.subscription.taskID,
      ...this.#facts,
      sentVersion: this.#sentVersion,
      consumedVersion: this.#consumedVersion,
      sentBytes: this.#sentBytes,
      bytesInFlight: this.#bytesInFlight,
      lagMs: oldest ? Date.now() - oldest.sinceMs : this.#lagMs,
      live: this.#live,
    };
  }

  get #bytesInFlight(): number {
    return this.#sentBytes - this.#consumedBytes;
  }

  #say(message: ToSubscriber): void {
    this.#ws.send(JSON.stringify(message));
  }

  #hear(text: string): void {
    const parsed = consumed.safeParse(parseJson(text));
    // It cannot have consumed what was not sent.
    if (!parsed.success || parsed.data.bytes > this.#sentBytes) return this.#ws.close(1002, 'not understood');
    const {bytes, watermark} = parsed.data;
    if (bytes > this.#consumedBytes) this.#progressAtMs = Date.now();
    this.#consumedBytes = bytes;
    const waiting = this.#onTheWay.findIndex(({end}) => end > bytes);
    const arrived = this.#onTheWay.splice(0, waiting < 0 ? this.#onTheWay.length : waiting);
    const newest = arrived.at(-1);
    if (newest) this.#lagMs = Date.now() - newest.sinceMs;
    if (watermark > this.#consumedVersion) this.#consumedVersion = watermark;
    this.#reservation.advance(watermark);
    if (this.#bytesInFlight < this.#windowBytes) this.#wake();
  }

  #judge(graceMs: number): void {
    if (graceMs <= 0 || this.#bytesInFlight === 0 || Date.now() - this.#progressAtMs < graceMs) return;
    this.refuse('StreamTooFarBehind', `Nothing of what was sent was consumed for ${graceMs} ms.`);
  }

  #wake(): void {
    const room = this.#room;
    this.#room = [];
    for (const resolve of room) resolve();
  }
}

const CLOSE_MS = 2000;

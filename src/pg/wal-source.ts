import type {Socket} from 'node:net';
import type pg from 'pg';
// The library's index would bring every output plugin with it, and protobuf.
import {PgoutputPlugin} from 'pg-logical-replication/dist/output-plugins/pgoutput/pgoutput-plugin.js';
import {Observable} from 'rxjs';
import {DaemonError, SlotBusy, SlotUnusable, UpstreamUnreachable} from '../errors.ts';
import {connect} from './connect.ts';
import {FrameGate, type WalFrames} from './gather-frames.ts';
import {ident, literal} from './identifier.ts';
import {formatLsn, type Lsn} from './lsn.ts';

/** The upstream side of the slot: what the last stage acknowledges to, and what slow stages pause. */
export interface WalControl {
  /** Tells PostgreSQL that everything up to `lsn` is durable here, so that it may let go of it. */
  acknowledge(lsn: Lsn): void;
  /** Stops reading from the socket; PostgreSQL keeps the rest. Keepalives go on being answered. */
  pause(): void;
  resume(): void;
  /**
   * Asks the server for a sign of life. @returns for how many ms an earlier question is unanswered; 0 if none is, or
   * while paused.
   */
  probe(): number;
}

export interface WalSourceOptions {
  readonly url: string;
  readonly slot: string;
  readonly publications: readonly string[];
  /** First position wanted: watermark + 1. */
  readonly start: Lsn;
  /** The server's own patience in ms; 0 = endless. */
  readonly walSenderTimeoutMs: number;
  /** ms without a byte from a server that was asked to answer; 0 = never give up. */
  readonly inboundTimeoutMs: number;
  /** The replication connection to stream on, which is closed at the end; one of its own if absent. A temporary slot is known only to the session that created it. */
  readonly session?: pg.Client;
  /** Gives the control before the first frame. */
  readonly onOpen: (control: WalControl) => void;
}

/** pg's wire layer, of which the sending half of copy-both is not among the public types. */
type WireConnection = pg.Connection & {sendCopyFromChunk(chunk: Buffer): void};

const STATUS_EVERY_MS = 10_000;
const KEEPALIVE = 0x6b;

/**
 * Streams the slot's WAL. Nothing is acknowledged but through `WalControl.acknowledge`. Ends only with an error:
 * @throws UpstreamUnreachable when the connection is lost (resume), SlotBusy (resume), SlotUnusable when the slot is gone
 * (resync).
 */
export const walSource = (options: WalSourceOptions): Observable<WalFrames> =>
  new Observable(out => {
    let stream: WalStream | null = null;
    let closed = false;
    const fail = (error: unknown) => {
      if (!closed) out.error(classify(error, options.slot));
    };
    const open = async () => {
      const client =
        options.session ?? (await connect(options.url, {purpose: 'replication', replication: true}));
      if (closed) return void client.end();
      stream = new WalStream(client, options, frames => out.next(frames), fail);
      stream.start(client);
    };
    open().catch(fail);
    return () => {
      closed = true;
      stream?.close();
    };
  });

/** The stream on one connection: answers the server in time, judges its silence, and hands on what it sends. */
class WalStream implements WalControl {
  readonly #options: WalSourceOptions;
  readonly #wire: WireConnection;
  readonly #socket: Socket;
  readonly #gate: FrameGate;
  readonly #fail: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #acked: Lsn = 0n;
  #paused = false;
  /** The question that `probe` has put, while nothing has come since. */
  #asked: {readonly atMs: number; readonly bytesRead: number} | null = null;

  constructor(
    client: pg.Client,
    options: WalSourceOptions,
    out: (frames: WalFrames) => void,
    fail: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#wire = client.connection as WireConnection;
    this.#socket = this.#wire.stream as Socket;
    this.#gate = new FrameGate(out);
    this.#fail = fail;
  }

  start(client: pg.Client): void {
    const {slot, publications, start} = this.#options;
    const lost = (message: string) => () => this.#fail(new UpstreamUnreachable(message));
    client.on('error', this.#fail);
    client.on('end', lost('PostgreSQL closed the replication connection.'));
    this.#wire.on('copyData', ({chunk}: {chunk: Buffer}) => this.#receive(chunk));
    // Called after pg's parser, which listens since the connection was opened. A microtask would come too late: a socket
    // that was paused gives several reads in one turn, and each may overwrite the frames of the one before.
    this.#socket.on('data', () => this.#gate.flush());
    this.#wire.once('replicationStart', () => {
      this.#options.onOpen(this);
      this.#watchSilence();
    });
    // The plugin writes them between quotes of its own.
    const publicationNames = publications.map(name => literal(ident(name)).slice(1, -1));
    new PgoutputPlugin({protoVersion: 1, publicationNames, messages: true})
      .start(client, slot, formatLsn(start))
      .then(lost('PostgreSQL ended the replication stream.'), this.#fail);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#gate.close();
    // Ending politely would wait for the copy to finish; what was acknowledged is already sent.
    this.#socket.destroy();
  }

  acknowledge(lsn: Lsn): void {
    if (lsn <= this.#acked) return;
    this.#acked = lsn;
    this.#tell(false);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  probe(): number {
    const {bytesRead} = this.#socket;
    if (this.#paused || this.#asked?.bytesRead !== bytesRead) this.#asked = null;
    if (this.#paused) return 0;
    if (this.#asked) return performance.now() - this.#asked.atMs;
    this.#asked = {atMs: performance.now(), bytesRead};
    this.#tell(true);
    return 0;
  }

  #receive(frame: Buffer): void {
    // At once and not after what came before is applied: the server waits for a sign of life, not for progress.
    if (frame[0] === KEEPALIVE && frame[17] === 1) this.#tell(false);
    this.#gate.add(frame);
  }

  #watchSilence(): void {
    const {walSenderTimeoutMs, inboundTimeoutMs} = this.#options;
    const patience = [walSenderTimeoutMs, inboundTimeoutMs].filter(ms => ms > 0);
    const everyMs = Math.max(50, Math.min(STATUS_EVERY_MS, ...patience.map(ms => ms / 4)));
    let {bytesRead} = this.#socket;
    let silentMs = 0;
    this.#timer = setInterval(() => {
      // Judged by bytes, and in ticks: neither a long row nor work of ours that held up this timer is silence.
      silentMs = this.#paused || this.#socket.bytesRead !== bytesRead ? 0 : silentMs + everyMs;
      bytesRead = this.#socket.bytesRead;
      if (inboundTimeoutMs && silentMs > inboundTimeoutMs)
        return this.#fail(
          new UpstreamUnreachable(
            `PostgreSQL sent nothing for ${Math.round(silentMs)} ms, though it was asked; the connection is given up.`,
          ),
        );
      // While paused nothing is read, but the server goes on hearing from us.
      this.#tell(silentMs > 0);
    }, everyMs);
  }

  #tell(replyRequested: boolean): void {
    this.#wire.sendCopyFromChunk(standbyStatus(this.#acked, replyRequested));
  }
}

/** PostgreSQL counts microseconds from the year 2000. */
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

/** A standby status update: everything up to `lsn` is written, flushed and applied here. */
const standbyStatus = (lsn: Lsn, replyRequested: boolean): Buffer => {
  const frame = Buffer.alloc(34);
  frame[0] = 0x72; // r
  for (const at of [1, 9, 17]) frame.writeBigUInt64BE(lsn, at);
  frame.writeBigInt64BE(BigInt(Date.now()) * 1000n - POSTGRES_EPOCH_US, 25);
  frame[33] = replyRequested ? 1 : 0;
  return frame;
};

/** Object not in the right state, undefined object, undefined file: invalidated, dropped, its WAL removed. */
const SLOT_GONE = new Set(['55000', '42704', '58P01']);
const SLOT_IN_USE = '55006';

const classify = (error: unknown, slot: string): unknown => {
  if (error instanceof DaemonError) return error;
  const {code, message} = error as {code?: string; message: string};
  if (code === SLOT_IN_USE)
    return new SlotBusy(`Another session streams from the replication slot ${slot} (${message}).`, {
      cause: error,
    });
  return code && SLOT_GONE.has(code)
    ? new SlotUnusable(`The replication slot ${slot} cannot be used any more (${message}).`, {cause: error})
    : new UpstreamUnreachable(`The replication stream broke (${code ?? message}).`, {cause: error});
};

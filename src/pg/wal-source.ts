import type {Socket} from 'node:net';
import type pg from 'pg';
// The library's index would bring every output plugin with it, and protobuf.
import {PgoutputPlugin} from 'pg-logical-replication/dist/output-plugins/pgoutput/pgoutput-plugin.js';
import {Observable} from 'rxjs';
import {DaemonError, SlotBusy, SlotUnusable, UpstreamUnreachable} from '../errors.ts';
import {connect} from './connect.ts';
import {Gathering} from './gather-frames.ts';
import {ident, literal} from './identifier.ts';
import {formatLsn, type Lsn} from './lsn.ts';

/** Frames that arrived together; processed as one step. */
export type WalFrames = readonly Buffer[];

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
/** A keepalive that nothing follows goes on after this time. */
const KEEPALIVE_MS = 250;
const KEEPALIVE = 0x6b;

/**
 * Streams the slot's WAL. Nothing is acknowledged but through `WalControl.acknowledge`. Ends only with an error:
 * @throws UpstreamUnreachable when the connection is lost (resume), SlotBusy (resume), SlotUnusable when the slot is gone
 * (resync).
 */
export const walSource = (options: WalSourceOptions): Observable<WalFrames> =>
  new Observable(out => {
    let wire: WireConnection | null = null;
    let timer: NodeJS.Timeout | undefined;
    let keepaliveTimer: NodeJS.Timeout | null = null;
    let acked: Lsn = 0n;
    let paused = false;
    let closed = false;
    const patience = [options.walSenderTimeoutMs, options.inboundTimeoutMs].filter(ms => ms > 0);
    const fail = (error: unknown) => {
      if (!closed) out.error(classify(error, options.slot));
    };

    const status = (replyRequested: boolean) => {
      const frame = Buffer.alloc(34);
      frame[0] = 0x72; // r
      for (const at of [1, 9, 17]) frame.writeBigUInt64BE(acked, at);
      frame.writeBigInt64BE(BigInt(Date.now()) * 1000n - 946_684_800_000_000n, 25);
      frame[33] = replyRequested ? 1 : 0;
      wire?.sendCopyFromChunk(frame);
    };

    const open = async () => {
      const opened =
        options.session ?? (await connect(options.url, {purpose: 'replication', replication: true}));
      if (closed) return void opened.end();
      const connection = opened.connection as WireConnection;
      wire = connection;
      opened.on('error', fail);
      opened.on('end', () => fail(new UpstreamUnreachable('PostgreSQL closed the replication connection.')));
      const gathering = new Gathering();
      let flushing = false;
      const flush = () => {
        flushing = false;
        if (closed) return;
        const frames = gathering.take();
        if (frames.length) out.next(frames);
        if (gathering.keepalive) keepaliveTimer ??= setTimeout(passKeepalive, KEEPALIVE_MS);
        else if (keepaliveTimer) {
          clearTimeout(keepaliveTimer);
          keepaliveTimer = null;
        }
      };
      const passKeepalive = () => {
        keepaliveTimer = null;
        const frames = gathering.takeKeepalive();
        if (frames.length) out.next(frames);
      };
      connection.on('copyData', ({chunk}: {chunk: Buffer}) => {
        // At once and not after what came before is applied: the server waits for a sign of life, not for progress.
        if (chunk[0] === KEEPALIVE && chunk[17] === 1) status(false);
        gathering.add(chunk);
        // pg emits all messages of one socket read in one go; a microtask sees them together.
        if (!flushing) queueMicrotask(flush);
        flushing = true;
      });
      connection.once('replicationStart', () => {
        const socket = connection.stream as Socket;
        let asked: {readonly atMs: number; readonly bytesRead: number} | null = null;
        options.onOpen({
          probe: () => {
            if (paused || (asked && socket.bytesRead !== asked.bytesRead)) asked = null;
            if (asked) return performance.now() - asked.atMs;
            if (paused) return 0;
            asked = {atMs: performance.now(), bytesRead: socket.bytesRead};
            status(true);
            return 0;
          },
          acknowledge: lsn => {
            if (lsn > acked) {
              acked = lsn;
              status(false);
            }
          },
          pause: () => {
            paused = true;
            connection.stream.pause();
          },
          resume: () => {
            paused = false;
            connection.stream.resume();
          },
        });
        const everyMs = Math.max(50, Math.min(STATUS_EVERY_MS, ...patience.map(ms => ms / 4)));
        let bytesRead = socket.bytesRead;
        let silentMs = 0;
        timer = setInterval(() => {
          // Judged by bytes, and in ticks: neither a long row nor work of ours that held up this timer is silence.
          silentMs = paused || socket.bytesRead !== bytesRead ? 0 : silentMs + everyMs;
          bytesRead = socket.bytesRead;
          if (options.inboundTimeoutMs && silentMs > options.inboundTimeoutMs)
            return fail(
              new UpstreamUnreachable(
                `PostgreSQL sent nothing for ${Math.round(silentMs)} ms, though it was asked; the connection is given up.`,
              ),
            );
          // While paused nothing is read, but the server goes on hearing from us.
          status(silentMs > 0);
        }, everyMs);
      });
      // The plugin writes them between quotes of its own.
      const publicationNames = options.publications.map(name => literal(ident(name)).slice(1, -1));
      new PgoutputPlugin({protoVersion: 1, publicationNames, messages: true})
        .start(opened, options.slot, formatLsn(options.start))
        .then(() => fail(new UpstreamUnreachable('PostgreSQL ended the replication stream.')), fail);
    };
    open().catch(fail);

    return () => {
      closed = true;
      clearInterval(timer);
      if (keepaliveTimer) clearTimeout(keepaliveTimer);
      // Ending politely would wait for the copy to finish; what was acknowledged is already sent.
      wire?.stream.destroy();
    };
  });

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

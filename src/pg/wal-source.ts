import type pg from 'pg';
import {Observable} from 'rxjs';
import {SlotUnusable, TakenOver, UpstreamUnreachable} from '../errors.ts';
import {connect} from './connect.ts';
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
}

export interface WalSourceOptions {
  readonly url: string;
  readonly slot: string;
  readonly publications: readonly string[];
  /** First position wanted: watermark + 1. */
  readonly start: Lsn;
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

/**
 * Streams the slot's WAL. Nothing is acknowledged but through `WalControl.acknowledge`. Ends only with an error:
 * @throws UpstreamUnreachable when the connection is lost (resume), SlotUnusable when the slot is gone (resync), TakenOver.
 */
export const walSource = (options: WalSourceOptions): Observable<WalFrames> =>
  new Observable(out => {
    let wire: WireConnection | null = null;
    let timer: NodeJS.Timeout | undefined;
    let acked: Lsn = 0n;
    let lastByteMs = Date.now();
    let paused = false;
    let closed = false;
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
      let batch: Buffer[] = [];
      const flush = () => {
        const frames = batch;
        batch = [];
        if (!closed) out.next(frames);
      };
      connection.on('copyData', ({chunk}: {chunk: Buffer}) => {
        lastByteMs = Date.now();
        // pg emits all messages of one socket read in one go; a microtask sees them together.
        if (batch.push(chunk) === 1) queueMicrotask(flush);
      });
      connection.once('replicationStart', () => {
        options.onOpen({
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
            lastByteMs = Date.now();
            connection.stream.resume();
          },
        });
        timer = setInterval(() => {
          const silent = Date.now() - lastByteMs;
          if (options.inboundTimeoutMs && !paused && silent > options.inboundTimeoutMs)
            return fail(
              new UpstreamUnreachable(
                `PostgreSQL sent nothing for ${silent} ms; the connection is given up.`,
              ),
            );
          status(!paused);
        }, STATUS_EVERY_MS);
      });
      const names = options.publications.map(name => literal(ident(name)).slice(1, -1)).join(',');
      opened
        .query(
          `START_REPLICATION SLOT ${ident(options.slot)} LOGICAL ${formatLsn(options.start)} (proto_version '1', publication_names '${names}')`,
        )
        .then(() => fail(new UpstreamUnreachable('PostgreSQL ended the replication stream.')), fail);
    };
    open().catch(fail);

    return () => {
      closed = true;
      clearInterval(timer);
      // Ending politely would wait for the copy to finish; what was acknowledged is already sent.
      wire?.stream.destroy();
    };
  });

const classify = (error: unknown, slot: string): unknown => {
  const code = (error as {code?: string}).code;
  if (code === '55000' || code === '42704')
    return new SlotUnusable(
      `The replication slot ${slot} cannot be used any more (${(error as Error).message}).`,
      {cause: error},
    );
  if (code === '57P01' && /terminat/.test((error as Error).message))
    return new TakenOver(
      `The replication stream of slot ${slot} was ended by an administrator or another replication-manager.`,
      {
        cause: error,
      },
    );
  if (error instanceof UpstreamUnreachable) return error;
  return new UpstreamUnreachable(`The replication stream broke (${code ?? (error as Error).message}).`, {
    cause: error,
  });
};

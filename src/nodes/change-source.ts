import type {IncomingMessage} from 'node:http';
import {Observable} from 'rxjs';
import {WebSocket} from 'ws';
import * as z from 'zod';
import {
  ChangeStreamUnavailable,
  NodeRefused,
  StreamTooFarBehind,
  WatermarkTooOld,
  WrongReplicaVersion,
} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import {keepAlive} from './keep-alive.ts';
import {secretHeaders} from './secret.ts';
import {type Consumed, parseJson, type Subscription, subscriptionUrl, type ToSubscriber} from './wire.ts';

export interface ChangeSourceOptions extends Subscription {
  /** Address of the other node's change-streamer. */
  readonly uri: string;
  readonly secret: string | undefined;
  readonly pingMs: number;
  readonly onOpen: (control: ChangeControl) => void;
  /** `watermark`: the newest transaction that the other node has now. */
  readonly onStatus: (watermark: Version) => void;
}

export interface ChangeControl {
  /** Tells that everything up to these bytes, in all, is applied, and what the replica holds. */
  consumed(bytes: number, watermark: Version): void;
  pause(): void;
  resume(): void;
}

const CONNECT_MS = 10_000;

const toSubscriber: z.ZodType<ToSubscriber> = z.discriminatedUnion('type', [
  z.object({type: z.literal('status'), replicaVersion: z.string(), watermark: z.string()}),
  z.object({
    type: z.literal('error'),
    error: z.enum(['WrongReplicaVersion', 'WatermarkTooOld', 'StreamTooFarBehind']),
    message: z.string(),
  }),
]);

const REFUSALS = {WrongReplicaVersion, WatermarkTooOld, StreamTooFarBehind} as const;

/**
 * Lines of the change log as another node sends them; what is read and not consumed is bounded by that node. Runs until
 * unsubscribed, and otherwise always ends with an error.
 * @throws ChangeStreamUnavailable, NodeRefused, WrongReplicaVersion, WatermarkTooOld, StreamTooFarBehind.
 */
export const changeSource = (options: ChangeSourceOptions): Observable<Buffer> =>
  new Observable(out => {
    const {uri, secret, pingMs, onOpen, onStatus} = options;
    const ws = new WebSocket(subscriptionUrl(uri, options), {
      headers: secretHeaders(secret),
      handshakeTimeout: CONNECT_MS,
      perMessageDeflate: false,
      maxPayload: 256 * 1024 * 1024,
    });
    const unavailable = (what: string, cause?: unknown) =>
      out.error(
        new ChangeStreamUnavailable(
          `The replication-manager at ${new URL(uri).host} ${what}.`,
          cause === undefined ? {} : {cause},
        ),
      );
    ws.on('open', () => {
      keepAlive(ws, pingMs, () => unavailable('was silent for too long'));
      onOpen({
        consumed: (bytes, watermark) => {
          if (ws.readyState === ws.OPEN)
            ws.send(JSON.stringify({type: 'consumed', bytes, watermark} satisfies Consumed));
        },
        pause: () => ws.pause(),
        resume: () => ws.resume(),
      });
    });
    ws.on('message', (data: Buffer, isBinary) => {
      if (out.closed) return;
      if (isBinary) return out.next(data);
      const parsed = toSubscriber.safeParse(parseJson(data.toString()));
      if (!parsed.success) return unavailable('said something that this release does not understand');
      if (parsed.data.type === 'status') return onStatus(parsed.data.watermark);
      const {error, message} = parsed.data;
      out.error(new REFUSALS[error](message));
    });
    ws.on('unexpected-response', (_, response) => {
      void bodyOf(response).then(body => {
        if (response.statusCode === 401)
          out.error(
            new NodeRefused(
              `The replication-manager at ${new URL(uri).host} refuses this node: ${body || 'another secret'}. Give all nodes the same ZERO_CHANGE_STREAMER_SECRET.`,
            ),
          );
        else unavailable(`refuses for now (${response.statusCode} ${body})`);
        ws.terminate();
      });
    });
    ws.on('error', error => unavailable(`cannot be reached (${error.message})`, error));
    ws.on('close', (code, reason) => unavailable(`closed the connection (${code} ${String(reason)})`));
    return () => ws.terminate();
  });

const BODY_CHARACTERS = 300;

const bodyOf = async (response: IncomingMessage): Promise<string> => {
  let body = '';
  try {
    for await (const chunk of response) if ((body += chunk).length > BODY_CHARACTERS) break;
  } catch {
    // What came will do.
  }
  return body.slice(0, BODY_CHARACTERS).trim();
};

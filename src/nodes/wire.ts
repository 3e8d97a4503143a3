import type {Version} from '../pg/lsn.ts';

/**
 * How nodes pass changes on: a WebSocket at `/replication/v1/changes?taskID=…&replicaVersion=…&watermark=…[&snapshotPort=…]` of the
 * change-streamer's port. Text messages are the types below, as JSON; binary ones are lines of the change log, whole lines
 * of one or several transactions in order, as {@link ../change-log/lines.ts} reads and writes them.
 */
export const WIRE_VERSION = 1;
export const CHANGES_PATH = `/replication/v${WIRE_VERSION}/changes`;

/** What a subscriber says of itself. */
export interface Subscription {
  readonly taskID: string;
  readonly replicaVersion: Version;
  /** What its replica holds: it gets everything after it. */
  readonly watermark: Version;
  /** Port at which it hands out its own replica; none if it does not. */
  readonly snapshotPort?: number | undefined;
}

export type ToSubscriber =
  /** Always the first message. `watermark`: the newest transaction in the log now. */
  | {readonly type: 'status'; readonly replicaVersion: Version; readonly watermark: Version}
  /** Always the last one: why the stream ends. */
  | {readonly type: 'error'; readonly error: Refusal; readonly message: string};

/** The subscriber's replica leads nowhere (both) · it must reconnect, and reads on from the log. */
export type Refusal = 'WrongReplicaVersion' | 'WatermarkTooOld' | 'StreamTooFarBehind';

/** What a subscriber has consumed, in all: bytes of binary messages, and the newest transaction that its replica holds. */
export interface Consumed {
  readonly type: 'consumed';
  readonly bytes: number;
  readonly watermark: Version;
}

/** Bytes of changes that may be on the way to one subscriber without being consumed. */
export const WINDOW_BYTES = 8 * 1024 * 1024;

/**
 * Both ends ping this often, and give up on the other one after three silent intervals: longer than a schema change of a
 * large table keeps a subscriber's process busy.
 */
export const PING_MS = 10_000;

export const subscriptionUrl = (
  uri: string,
  {taskID, replicaVersion, watermark, snapshotPort}: Subscription,
): string => {
  const url = new URL(uri);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.pathname = url.pathname.replace(/\/?$/, CHANGES_PATH);
  for (const [name, value] of Object.entries({taskID, replicaVersion, watermark}))
    url.searchParams.set(name, value);
  if (snapshotPort) url.searchParams.set('snapshotPort', String(snapshotPort));
  return url.href;
};

/** What the other end has said; null if it is no JSON. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

/** Frames that arrived together; processed as one step. */
export type WalFrames = readonly Buffer[];

const XLOG_DATA = 0x77; // w
const XLOG_HEADER_BYTES = 25;
const BEGIN = 0x42;
const COMMIT = 0x43;
const KEEPALIVE = 0x6b;
/** A keepalive that nothing follows goes on after this time. */
const KEEPALIVE_MS = 250;

/** Up to so many bytes of a transaction wait for its commit. */
const GATHER_BYTES = 16 * 1024;

/**
 * Frames as they should go on together. PostgreSQL sends the beginning, each row and the commit of a small transaction in
 * packets of their own, some tenths of a millisecond apart, and a keepalive before and after; taken one by one they
 * would cost five runs through the chain. So a transaction waits for its commit, within `GATHER_BYTES`, and a keepalive
 * for whatever comes next.
 */
export class Gathering {
  #frames: Buffer[] = [];
  /** Of the frames from `#whole` on. */
  #bytes = 0;
  /** So many of the frames end with a commit, or stand outside of a transaction. */
  #whole = 0;
  /** So many frames are copies; the memory of the others is the socket's and will be used again. */
  #copied = 0;
  #inTransaction = false;
  #keepalive: Buffer | null = null;

  add(frame: Buffer): void {
    if (frame[0] === KEEPALIVE) {
      // Of some in a row the last says everything; inside a transaction it says nothing that the commit does not.
      this.#keepalive = Buffer.from(frame);
      return;
    }
    this.#frames.push(frame);
    this.#bytes += frame.length;
    this.#keepalive = null;
    if (frame[0] === XLOG_DATA) {
      const tag = frame[XLOG_HEADER_BYTES];
      if (tag === BEGIN) this.#inTransaction = true;
      else if (tag === COMMIT) this.#inTransaction = false;
    }
    if (!this.#inTransaction) {
      this.#whole = this.#frames.length;
      this.#bytes = 0;
    }
  }

  /** A keepalive is all that there is, or all that came after what was taken. */
  get keepalive(): boolean {
    return this.#keepalive !== null;
  }

  /** What may go on; empty if it waits for more. To be called before the next read: its frames may take the memory of these. */
  take(): WalFrames {
    const frames = this.#frames;
    const count = this.#bytes < GATHER_BYTES ? this.#whole : frames.length;
    const taken = count < frames.length ? frames.splice(0, count) : frames;
    if (taken === frames) this.#frames = [];
    if (count) {
      this.#whole = 0;
      this.#copied = Math.max(0, this.#copied - count);
    }
    const rest = this.#frames;
    if (rest.length === 0) this.#bytes = 0;
    for (; this.#copied < rest.length; this.#copied++) rest[this.#copied] = Buffer.from(rest[this.#copied]!);
    return taken;
  }

  /** The keepalive that nothing followed. */
  takeKeepalive(): WalFrames {
    const frame = this.#frames.length ? null : this.#keepalive;
    this.#keepalive = null;
    return frame ? [frame] : [];
  }
}

/** Hands frames on, gathered: of all that one read of the socket brought, what may go on. They are valid during the call only. */
export class FrameGate {
  readonly #out: (frames: WalFrames) => void;
  readonly #gathering = new Gathering();
  #closed = false;
  #keepaliveTimer: NodeJS.Timeout | undefined;

  constructor(out: (frames: WalFrames) => void) {
    this.#out = out;
  }

  add(frame: Buffer): void {
    this.#gathering.add(frame);
  }

  /** All frames of one read of the socket have been added. */
  flush(): void {
    if (this.#closed) return;
    this.#pass(this.#gathering.take());
    if (this.#closed) return;
    if (this.#gathering.keepalive)
      this.#keepaliveTimer ??= setTimeout(() => this.#passKeepalive(), KEEPALIVE_MS);
    else this.#dropKeepalive();
  }

  close(): void {
    this.#closed = true;
    this.#dropKeepalive();
  }

  #passKeepalive(): void {
    this.#keepaliveTimer = undefined;
    this.#pass(this.#gathering.takeKeepalive());
  }

  #dropKeepalive(): void {
    clearTimeout(this.#keepaliveTimer);
    this.#keepaliveTimer = undefined;
  }

  #pass(frames: WalFrames): void {
    if (frames.length) this.#out(frames);
  }
}

import type {Version} from '../pg/lsn.ts';

/** What one commit added to the change log: everything in (`from`, `to`], as lines. */
export interface LiveItem {
  readonly from: Version;
  readonly to: Version;
  readonly lines: readonly Buffer[];
  readonly bytes: number;
}

/**
 * The newest entries of the change log in memory, up to a limit in bytes, from where subscribers that have caught up are
 * served. It holds only what is committed in the log, so nobody gets ahead of it; who falls out of it reads the log again.
 * While nobody listens it keeps nothing but the newest version.
 */
export class LiveLog {
  readonly #limitBytes: number;
  readonly #items: LiveItem[] = [];
  /** Number of the first item. */
  #first = 0;
  #bytes = 0;
  #last: Version | null = null;
  #listeners = 0;
  /** Written, but not committed yet; null: more than fits. */
  #pending: Buffer[] | null = [];
  #pendingBytes = 0;
  #waiting: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Newest version in the log; null until a writer has said so. */
  get last(): Version | null {
    return this.#last;
  }

  get isListenedTo(): boolean {
    return this.#listeners > 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A writer begins (again) where the log ends at `last`. */
  begin(last: Version): void {
    this.#dropPending();
    if (last !== this.#last) this.#clear();
    this.#last = last;
    this.#wake();
  }

  write(lines: Buffer): void {
    if (!this.#listeners || !this.#pending) return;
    this.#pendingBytes += lines.length;
    if (this.#pendingBytes > this.#limitBytes) this.#pending = null;
    else if (lines.length) this.#pending.push(lines);
  }

  /** What was written is in the log, and `to` is its newest version. */
  commit(to: Version): void {
    const {lines, bytes} = {lines: this.#pending, bytes: this.#pendingBytes};
    this.#dropPending();
    const from = this.#last;
    this.#last = to;
    if (!this.#listeners || from === null || lines === null) this.#clear();
    else if (lines.length) {
      this.#items.push({from, to, lines, bytes});
      this.#bytes += bytes;
      while (this.#bytes > this.#limitBytes && this.#items.length > 1) this.#shift();
    }
    this.#wake();
  }

  /** Keeps entries from now on, until the returned function is called. */
  listen(): () => void {
    // What is being written now was not kept from its beginning.
    if (this.#listeners++ === 0) this.#pending = null;
    let listening = true;
    return () => {
      if (!listening) return;
      listening = false;
      if (--this.#listeners === 0) this.#clear();
    };
  }

  /** Number of the item that follows `version`; null if that is not known here. */
  after(version: Version): number | null {
    if (version === this.#last) return this.#first + this.#items.length;
    const index = this.#items.findIndex(item => item.from === version);
    return index < 0 ? null : this.#first + index;
  }

  /** The item of that number · `null`: not there yet · `lost`: not there any more. */
  item(number: number): LiveItem | null | 'lost' {
    if (number < this.#first) return 'lost';
    return this.#items[number - this.#first] ?? null;
  }

  /** Resolves at the next commit, or when `signal` is aborted. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      if (signal.aborted) return resolve();
      const done = () => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, {once: true});
      this.#waiting.push(done);
    });
  }

  #shift(): void {
    this.#bytes -= this.#items.shift()?.bytes ?? 0;
    this.#first++;
  }

  /** Numbers go on, so that nobody takes a later item for one he has missed. */
  #clear(): void {
    this.#first += this.#items.length + 1;
    this.#items.length = 0;
    this.#bytes = 0;
  }

  #dropPending(): void {
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

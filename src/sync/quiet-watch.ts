/** A client gives up after 10 s of silence; unsolicited pongs keep it while its group works (protocol.md §1.7). */
const CHECK_MS = 3000;
const LIMIT_MS = 6000;

export interface Speaker {
  /** Wall clock of the last message to its client. */
  readonly lastSentMs: number;
  pong(): void;
}

/** Looks after all connections of a worker by one timer: by one each, many idle clients would keep it awake. */
export class QuietWatch {
  readonly #speakers = new Set<Speaker>();
  #timer: NodeJS.Timeout | undefined;

  add(speaker: Speaker): void {
    this.#speakers.add(speaker);
    this.#timer ??= setInterval(() => this.#look(), CHECK_MS).unref();
  }

  delete(speaker: Speaker): void {
    this.#speakers.delete(speaker);
    if (this.#speakers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const since = Date.now() - LIMIT_MS;
    for (const speaker of this.#speakers) if (speaker.lastSentMs < since) speaker.pong();
  }
}

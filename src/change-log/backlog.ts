/** Whether everything that was applied is written to the change log, and who waits for that. */
export class Backlog {
  #empty = true;
  #waiting: (() => void)[] = [];
  #hurry: () => void = () => {};

  /** @param hurry called when somebody waits: what waits for company is written now. */
  onAwaited(hurry: () => void): void {
    this.#hurry = hurry;
  }

  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Something was applied. */
  grew(): void {
    this.#empty = false;
  }

  /** All of it is written. */
  emptied(): void {
    this.#empty = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** null: nothing is unwritten. Never resolves if the chain ends first. */
  written(): Promise<void> | null {
    if (this.#empty) return null;
    return new Promise(resolve => {
      this.#waiting.push(resolve);
      this.#hurry();
    });
  }
}

import {setTimeout} from 'node:timers/promises';

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 50;

/**
 * One at a time: transactions that lost against concurrent ones repeat in a row instead of against each other, each
 * after a random pause that grows with its attempts.
 */
export class RetryLane {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(attempt: number, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      await setTimeout(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt));
      return work();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}

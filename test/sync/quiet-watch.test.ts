import {afterEach, expect, test, vi} from 'vitest';
import {QuietWatch} from '../../src/sync/quiet-watch.ts';

class Client {
  lastSentMs = Date.now();
  pongs = 0;
  pong() {
    this.pongs++;
    this.lastSentMs = Date.now();
  }
}

afterEach(() => void vi.useRealTimers());

test('a client that was sent nothing is sent a pong before it gives up, others are not, and one timer serves all', () => {
  vi.useFakeTimers();
  const watch = new QuietWatch();
  const [quiet, busy, gone] = [new Client(), new Client(), new Client()];
  for (const client of [quiet, busy, gone]) watch.add(client);
  expect(vi.getTimerCount()).toBe(1);
  watch.delete(gone);
  for (let second = 0; second < 60; second++) {
    vi.advanceTimersByTime(1000);
    busy.lastSentMs = Date.now();
    expect(Date.now() - quiet.lastSentMs).toBeLessThan(10_000);
  }
  expect(quiet.pongs).toBeGreaterThan(5);
  expect([busy.pongs, gone.pongs]).toEqual([0, 0]);
  watch.delete(quiet);
  watch.delete(busy);
  expect(vi.getTimerCount()).toBe(0);
  watch.add(quiet);
  vi.advanceTimersByTime(10_000);
  expect(quiet.pongs).toBeGreaterThan(6);
});

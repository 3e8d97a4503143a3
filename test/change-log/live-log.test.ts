import {expect, test} from 'vitest';
import {LiveLog} from '../../src/change-log/live-log.ts';
import {lexi} from '../../src/pg/lsn.ts';

const lines = (n: number, bytes = 10) => Buffer.alloc(bytes, n);

const commit = (live: LiveLog, n: number, bytes?: number) => {
  live.write(lines(n, bytes));
  live.commit(lexi(n));
};

test('keeps what is committed while somebody listens, in order, each once', () => {
  const live = new LiveLog(1000);
  live.begin(lexi(1));
  commit(live, 2);
  expect(live.after(lexi(1))).toBe(null);
  const stop = live.listen();
  // Part of this one may have been written before anybody listened.
  commit(live, 3);
  expect(live.after(lexi(2))).toBe(null);
  const at = live.after(lexi(3))!;
  expect(live.item(at)).toBe(null);
  commit(live, 4);
  live.write(lines(5));
  live.write(lines(6));
  expect(live.item(at + 1)).toBe(null);
  live.commit(lexi(6));
  expect(live.item(at)).toMatchObject({from: lexi(3), to: lexi(4), bytes: 10});
  expect(live.item(at + 1)).toMatchObject({from: lexi(4), to: lexi(6), bytes: 20});
  expect(live.after(lexi(4))).toBe(at + 1);
  expect(live.after(lexi(5))).toBe(null);
  stop();
  expect(live.item(at)).toBe('lost');
  expect(live.bytes).toBe(0);
});

test('holds no more than its limit: the oldest go, and a transaction that does not fit is left to the log', () => {
  const live = new LiveLog(100);
  live.begin(lexi(1));
  live.listen();
  commit(live, 2);
  const at = live.after(lexi(2))!;
  for (let n = 3; n < 30; n++) {
    commit(live, n, 30);
    expect(live.bytes).toBeLessThanOrEqual(100);
  }
  expect(live.item(at)).toBe('lost');
  expect(live.after(lexi(28))).not.toBe(null);
  live.write(lines(30, 60));
  live.write(lines(30, 60));
  live.commit(lexi(30));
  expect(live.after(lexi(28))).toBe(null);
  expect(live.after(lexi(29))).toBe(null);
  expect(live.bytes).toBe(0);
  commit(live, 31);
  expect(live.item(live.after(lexi(30))!)).toMatchObject({to: lexi(31)});
});

test('what a writer has not committed is forgotten when another begins, and a gap is never bridged', async () => {
  const live = new LiveLog(1000);
  live.begin(lexi(1));
  live.listen();
  commit(live, 2);
  commit(live, 3);
  live.write(lines(4));
  live.begin(lexi(3));
  expect(live.after(lexi(2))).not.toBe(null);
  commit(live, 5);
  expect(live.item(live.after(lexi(3))!)).toMatchObject({to: lexi(5), bytes: 10});
  // Another has written the log meanwhile.
  const changed = live.changed(new AbortController().signal);
  live.begin(lexi(9));
  await changed;
  for (const n of [2, 3, 5]) expect(live.after(lexi(n))).toBe(null);
  expect(live.item(live.after(lexi(9))!)).toBe(null);
});

import {expect, test, vi} from 'vitest';
import {FrameGate, Gathering} from '../../src/pg/gather-frames.ts';

const data = (tag: string, fill = 0): Buffer =>
  Buffer.concat([Buffer.from('w'), Buffer.alloc(24), Buffer.from(tag), Buffer.alloc(fill)]);
const keepalive = (): Buffer => Buffer.concat([Buffer.from('k'), Buffer.alloc(17)]);
const tags = (frames: readonly Buffer[]): string =>
  frames.map(frame => (frame[0] === 0x6b ? 'k' : String.fromCharCode(frame[25]!))).join('');

test('a small transaction goes on as a whole, whose frames are not those of the socket any more', () => {
  const gathering = new Gathering();
  const begin = data('B');
  gathering.add(begin);
  expect(gathering.take()).toEqual([]);
  begin.fill(0);
  for (const tag of 'RU') gathering.add(data(tag));
  expect(gathering.take()).toEqual([]);
  gathering.add(data('C'));
  expect(tags(gathering.take())).toBe('BRUC');
  expect(gathering.take()).toEqual([]);
});

test('whole transactions that came together do not wait for one that has only begun', () => {
  const gathering = new Gathering();
  for (const tag of 'BUCBU') gathering.add(data(tag));
  expect(tags(gathering.take())).toBe('BUC');
  expect(gathering.take()).toEqual([]);
  for (const tag of 'UCBUCBI') gathering.add(data(tag));
  expect(tags(gathering.take())).toBe('BUUCBUC');
  gathering.add(data('C'));
  expect(tags(gathering.take())).toBe('BIC');
});

test('a large transaction goes on in parts', () => {
  const gathering = new Gathering();
  gathering.add(data('B'));
  expect(gathering.take()).toEqual([]);
  gathering.add(data('I', 20_000));
  expect(tags(gathering.take())).toBe('BI');
  gathering.add(data('I'));
  expect(gathering.take()).toEqual([]);
  gathering.add(data('I', 20_000));
  expect(tags(gathering.take())).toBe('II');
  gathering.add(data('C'));
  expect(tags(gathering.take())).toBe('C');
});

test('what stands outside of a transaction does not wait', () => {
  const gathering = new Gathering();
  gathering.add(data('M'));
  expect(tags(gathering.take())).toBe('M');
});

test('a keepalive waits until it is asked for, and is forgotten once something follows it', () => {
  const gathering = new Gathering();
  gathering.add(keepalive());
  expect(gathering.take()).toEqual([]);
  expect(gathering.keepalive).toBe(true);
  expect(tags(gathering.takeKeepalive())).toBe('k');
  expect(gathering.keepalive).toBe(false);
  gathering.add(keepalive());
  for (const tag of 'BUC') gathering.add(data(tag));
  expect(tags(gathering.take())).toBe('BUC');
  expect(gathering.keepalive).toBe(false);
  expect(gathering.takeKeepalive()).toEqual([]);
  gathering.add(data('B'));
  gathering.add(keepalive());
  expect(gathering.takeKeepalive(), 'its position would be beyond what was passed on').toEqual([]);
});

test('what one read of the socket brought goes on together; a keepalive alone waits for what may follow', () => {
  vi.useFakeTimers();
  try {
    const passed: string[] = [];
    const gate = new FrameGate(frames => passed.push(tags(frames)));
    for (const frame of [data('B'), data('U'), data('C'), data('B'), data('C')]) gate.add(frame);
    gate.flush();
    gate.add(keepalive());
    gate.flush();
    expect(passed).toEqual(['BUCBC']);
    vi.runAllTimers();
    expect(passed).toEqual(['BUCBC', 'k']);
  } finally {
    vi.useRealTimers();
  }
});

test('nothing is left of a gate that is closed while it hands frames on', () => {
  vi.useFakeTimers();
  try {
    let passed = 0;
    const gate = new FrameGate(() => {
      passed++;
      gate.close();
    });
    for (const frame of [data('B'), data('C'), keepalive()]) gate.add(frame);
    gate.flush();
    expect(passed).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

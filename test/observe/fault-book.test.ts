import {fileURLToPath} from 'node:url';
import {beforeEach, expect, test} from 'vitest';
import {readErrorEntries} from '../../src/config/errors-markdown.ts';
import {ChangeLogUnavailable, SlotInDanger, SlotUnusable, UpstreamUnreachable} from '../../src/errors.ts';
import {FaultBook} from '../../src/observe/fault-book.ts';
import {REMEDIED, remedyOf} from '../../src/observe/faults.ts';

let nowMs = 0;
let book: FaultBook;
beforeEach(() => {
  nowMs = 1000;
  book = new FaultBook(() => nowMs);
});

test('a fault keeps its beginning while it goes on, and is remembered when it is over', () => {
  book.set('stream', new UpstreamUnreachable('silent for 1 s'));
  nowMs = 3000;
  book.set('stream', new UpstreamUnreachable('silent for 3 s'));
  expect(book.standing).toMatchObject([{code: 'U001', what: 'silent for 3 s', sinceMs: 1000}]);
  expect(book.past).toEqual([]);
  book.set('stream', null);
  expect(book.standing).toEqual([]);
  expect(book.past).toEqual([
    {
      code: 'U001',
      severity: 'warning',
      what: 'silent for 3 s',
      remedy: remedyOf('U001'),
      sinceMs: 1000,
      untilMs: 3000,
    },
  ]);
});

test('what comes again at once was never over; another fault of the same code is a new one', () => {
  book.set('replication', new ChangeLogUnavailable('no answer within 30 ms'), 'fault');
  nowMs = 2000;
  book.set('replication', null);
  nowMs = 2500;
  book.set('replication', new ChangeLogUnavailable('no answer within 31 ms'), 'fault');
  expect(book.standing).toMatchObject([{sinceMs: 1000}]);
  expect(book.past).toEqual([]);
  book.set('replication', null);
  book.set('replication', new ChangeLogUnavailable('refused'), 'fault');
  expect(book.standing).toMatchObject([{what: 'refused', sinceMs: 2500}]);
  nowMs = 60_000;
  book.set('replication', null);
  nowMs = 120_000;
  book.set('replication', new ChangeLogUnavailable('refused'), 'fault');
  expect(book.standing).toMatchObject([{sinceMs: 120_000}]);
});

test('one fault follows another on the same subject; the worst and oldest stand first', () => {
  book.set('slot', new SlotInDanger('near its limit'));
  nowMs = 2000;
  book.set('replication', new UpstreamUnreachable('gone'), 'fault');
  book.set('slot', new SlotUnusable('lost'), 'fault');
  book.setAll('schema ', new Map([['a', new SlotInDanger('a')]]));
  expect(book.standing.map(({what}) => what)).toEqual(['gone', 'lost', 'a']);
  expect(book.past).toMatchObject([{code: 'R013', sinceMs: 1000, untilMs: 2000}]);
  book.setAll('schema ', new Map([['b', new SlotInDanger('b')]]));
  expect(book.standing.map(({what}) => what)).toEqual(['gone', 'lost', 'b']);
});

test('only so many are remembered', () => {
  for (let n = 0; n < 50; n++) {
    book.set(`subject ${n}`, new SlotInDanger(`fault ${n}`));
    book.set(`subject ${n}`, null);
  }
  expect(book.past).toHaveLength(20);
  expect(book.past.at(-1)!.what).toBe('fault 49');
});

test('remedies are for codes that exist', () => {
  const codes = readErrorEntries(fileURLToPath(new URL('../../src', import.meta.url))).map(({code}) => code);
  expect(codes).toEqual(expect.arrayContaining(REMEDIED));
});

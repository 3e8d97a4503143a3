import {map} from 'rxjs';
import {TestScheduler} from 'rxjs/testing';
import {expect, test} from 'vitest';
import {limitMutations} from '../../src/mutation/limit-mutations.ts';
import {KeyedLimiter, SlidingWindow} from '../../src/mutation/sliding-window.ts';
import type {MutationRequest} from '../../src/mutation/types.ts';
import type {ClientConnection} from '../../src/sync/types.ts';

/** The check values of mutations-auth.md §9: ten calls at t = 9, then 9 − i still counted at t = 10 + i. */
test.each([0, 1, 4, 8, 9])('a window of ten counts down as it slides (%i)', later => {
  let now = 9;
  const window = new SlidingWindow({max: 10, windowMs: 10, now: () => now});
  for (let i = 0; i < 10; i++) expect(window.allow()).toBe(true);
  expect(window.allow()).toBe(false);
  now = 10 + later;
  let room = 0;
  while (window.allow()) room++;
  expect(room).toBe(10 - (9 - later));
});

const person = (
  userID: string | null,
  clientGroupID = 'g',
  kind: ClientConnection['auth']['kind'] = 'none',
): ClientConnection => ({userID, clientGroupID, closed: false, auth: {kind}}) as ClientConnection;
const request = (connection: ClientConnection, id: number): MutationRequest =>
  ({connection, mutation: {clientID: 'c', id}}) as MutationRequest;

const run = (
  marbles: string,
  expected: string,
  values: Readonly<Record<string, MutationRequest>>,
  {max = 2, windowMs = 100, maxHeld = 10} = {},
) => {
  const told: ClientConnection[] = [];
  const overflown: ClientConnection[] = [];
  const scheduler = new TestScheduler((actual, wanted) => expect(actual).toEqual(wanted));
  scheduler.run(({hot, expectObservable}) => {
    const limiter = new KeyedLimiter({max, windowMs, now: () => scheduler.now()});
    const names = new Map(Object.entries(values).map(([name, value]) => [value, name]));
    expectObservable(
      hot(marbles, values).pipe(
        limitMutations(
          {limiter, maxHeld, tell: c => told.push(c), overflow: c => overflown.push(c)},
          scheduler,
        ),
        map(passed => names.get(passed)!),
      ),
    ).toBe(expected);
  });
  return {told, overflown};
};

test('what is over the limit waits in order and goes on when room returns', () => {
  const ann = person('ann');
  const values = Object.fromEntries(['a', 'b', 'c', 'd'].map((name, i) => [name, request(ann, i + 1)]));
  // Two at once; the window of 100 ms gives room for the next when the older half of it has slid away.
  const {told} = run('(abcd) 400ms |', '(ab) 96ms c 49ms d 255ms |', values);
  expect(told).toEqual([ann]);
});

test('users are counted apart, and connections of one user together', () => {
  const values = {
    a: request(person('ann', 'g1'), 1),
    b: request(person('ann', 'g2'), 1),
    c: request(person('bob', 'g3'), 1),
    d: request(person(null, 'g4'), 1),
    e: request(person(null, 'g5'), 1),
  };
  const {told} = run('(abcde) 20ms |', '(acde) 21ms |', values, {max: 1});
  expect(told).toEqual([values.b.connection]);
});

test('who only says to be a user uses up nothing of those who have shown a token', () => {
  const values = {
    a: request(person('ann', 'g1'), 1),
    b: request(person('ann', 'g2'), 1),
    c: request(person('ann', 'g3', 'jwt'), 1),
  };
  const {told} = run('(abc) 20ms |', '(ac) 21ms |', values, {max: 1});
  expect(told).toEqual([values.b.connection]);
});

test('what is repeated while it waits runs once, and a closed connection leaves nothing behind', () => {
  const ann = person('ann');
  const gone = {...person('ann'), closed: true} as ClientConnection;
  const values = {
    a: request(ann, 1),
    b: request(gone, 2),
    c: request(ann, 3),
    d: request(ann, 3),
    e: request(ann, 4),
  };
  const {told} = run('(abcde) 600ms |', 'a 99ms c 99ms e 406ms |', values, {max: 1});
  expect(told).toEqual([gone, ann]);
});

test('only so many are kept waiting', () => {
  const ann = person('ann');
  const values = Object.fromEntries(['a', 'b', 'c', 'd'].map((name, i) => [name, request(ann, i + 1)]));
  const {overflown} = run('(abcd) 10ms |', '16ms |', values, {max: 0, maxHeld: 3});
  expect(overflown).toEqual([ann]);
});

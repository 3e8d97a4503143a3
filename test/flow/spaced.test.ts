import {of, switchMap} from 'rxjs';
import {TestScheduler} from 'rxjs/testing';
import {expect, test} from 'vitest';
import {conflateMap} from '../../src/flow/conflate-map.ts';
import {spaced} from '../../src/flow/spaced.ts';

test('the first run begins at once, those that come close together a gap apart', () => {
  const scheduler = new TestScheduler((got, wanted) => expect(got).toEqual(wanted));
  scheduler.run(({cold, expectObservable}) => {
    const versions = cold('a-bc 9ms d|');
    const seen = versions.pipe(conflateMap(spaced(4, () => of('x'), scheduler)));
    expectObservable(seen).toBe('x 3ms x 3ms x 4ms x|');
  });
});

test('unsubscribing while one waits runs nothing', () => {
  const scheduler = new TestScheduler((got, wanted) => expect(got).toEqual(wanted));
  let runs = 0;
  scheduler.run(({cold, expectObservable}) => {
    const run = spaced(10, () => of(++runs), scheduler);
    expectObservable(cold('ab').pipe(switchMap(run)), '---!').toBe('x--', {x: 1});
  });
  expect(runs).toBe(1);
});

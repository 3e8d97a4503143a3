import {type Observable, Subject, tap} from 'rxjs';
import {TestScheduler} from 'rxjs/testing';
import {expect, test} from 'vitest';
import {paced} from '../../src/flow/paced.ts';

test('the first item passes at once, of those that come close together the last, a gap apart', () => {
  const scheduler = new TestScheduler((got, wanted) => expect(got).toEqual(wanted));
  scheduler.run(({cold, expectObservable}) => {
    const versions = cold('a-bc 9ms d|');
    const seen = versions.pipe(paced(4, scheduler));
    expectObservable(seen).toBe('a 3ms c 8ms d|');
  });
});

test('an item that comes of passing one on waits for the gap, and is not passed within', () => {
  const scheduler = new TestScheduler((got, wanted) => expect(got).toEqual(wanted));
  scheduler.run(({expectObservable}) => {
    const source = new Subject<number>();
    const seen: Observable<number> = source.pipe(
      paced(3, scheduler),
      tap(n => n < 3 && source.next(n + 1)),
    );
    expectObservable(seen).toBe('5ms a--b--c', {a: 1, b: 2, c: 3});
    scheduler.schedule(() => source.next(1), 5);
  });
});

test('unsubscribing while one waits passes nothing on', () => {
  const scheduler = new TestScheduler((got, wanted) => expect(got).toEqual(wanted));
  scheduler.run(({cold, expectObservable}) => {
    expectObservable(cold('ab').pipe(paced(10, scheduler)), '---!').toBe('a--');
  });
});

import {of, Subject, take, toArray} from 'rxjs';
import {expect, test} from 'vitest';
import {transform} from '../../src/flow/transform.ts';

test('yields none, one or many results per item, with a state of its own per subscription', () => {
  const counted = of(0, 1, 3).pipe(
    transform(() => {
      let n = 0;
      return function* (times: number) {
        for (let i = 0; i < times; i++) yield n++;
      };
    }),
    toArray(),
  );
  const seen: number[][] = [];
  counted.subscribe(all => seen.push(all));
  counted.subscribe(all => seen.push(all));
  expect(seen).toEqual([
    [0, 1, 2, 3],
    [0, 1, 2, 3],
  ]);
});

test('an item that its own results bring about waits until they are all out', () => {
  const input = new Subject<number>();
  const seen: string[] = [];
  let done = false;
  input
    .pipe(
      transform(
        () =>
          function* (n: number) {
            yield `${n}a`;
            yield `${n}b`;
          },
      ),
    )
    .subscribe({
      next: text => {
        seen.push(text);
        if (text === '1a') {
          input.next(2);
          input.complete();
        }
      },
      complete: () => {
        done = true;
      },
    });
  input.next(1);
  expect(seen).toEqual(['1a', '1b', '2a', '2b']);
  expect(done).toBe(true);
});

test('what the step throws is the error of the stream; who has enough ends the step', () => {
  const errors: unknown[] = [];
  const ended: string[] = [];
  of(1)
    .pipe(
      transform(() => () => {
        throw new Error('broken');
      }),
    )
    .subscribe({error: error => errors.push((error as Error).message)});
  expect(errors).toEqual(['broken']);
  of(1)
    .pipe(
      transform(
        () =>
          function* () {
            try {
              yield 1;
              yield 2;
            } finally {
              ended.push('ended');
            }
          },
      ),
      take(1),
    )
    .subscribe();
  expect(ended).toEqual(['ended']);
});

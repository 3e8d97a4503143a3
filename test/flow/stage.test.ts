import {concatMap, delay, filter, map, of, Subject, tap} from 'rxjs';
import {expect, test} from 'vitest';
import {StageBoard, stages} from '../../src/flow/stage.ts';

const spin = (ms: number) => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

test('counts what passes, by name and in the order of composition', () => {
  const board = new StageBoard();
  const stage = stages(board, 'chain');
  const seen: number[] = [];
  of(1, 2, 3)
    .pipe(
      stage(
        'double',
        map((n: number) => n * 2),
        {bytesOf: n => n},
      ),
      stage(
        'large',
        filter(n => n > 2),
      ),
    )
    .subscribe(n => seen.push(n));
  expect(seen).toEqual([4, 6]);
  expect(board.snapshot()).toMatchObject([
    {name: 'chain.double', itemsIn: 3, itemsOut: 3, bytesIn: 6, inFlight: null, running: false},
    {name: 'chain.large', itemsIn: 3, itemsOut: 2, inFlight: null},
  ]);
});

test("time spent downstream is not a stage's own", () => {
  const board = new StageBoard();
  const stage = stages(board, 'c');
  let downstreamMs = 0;
  const started = performance.now();
  of(1)
    .pipe(
      stage(
        'quick',
        map(n => n),
      ),
      stage(
        'slow',
        tap(() => spin(30)),
      ),
    )
    .subscribe(() => {
      const from = performance.now();
      spin(30);
      downstreamMs = performance.now() - from;
    });
  const elapsedMs = performance.now() - started;
  const [quick, slow] = board.snapshot();
  expect(slow!.busyMs).toBeGreaterThanOrEqual(29);
  // Each moment belongs to one of them only, whatever else the machine does.
  expect(quick!.busyMs + slow!.busyMs + downstreamMs).toBeLessThanOrEqual(elapsedMs);
});

test('an asynchronous stage shows what is in flight until it is answered', async () => {
  const board = new StageBoard();
  const source = new Subject<number>();
  const subscription = source
    .pipe(
      stages(board, 'c')(
        'wait',
        concatMap(n => of(n).pipe(delay(5))),
        {settles: 'each', bytesOf: n => n},
      ),
    )
    .subscribe();
  source.next(10);
  source.next(20);
  expect(board.snapshot()[0]).toMatchObject({inFlight: 2, bytesInFlight: 30, running: true});
  await new Promise(resolve => setTimeout(resolve, 20));
  while (board.snapshot()[0]!.inFlight) await new Promise(resolve => setTimeout(resolve, 5));
  const [stats] = board.snapshot();
  expect(stats).toMatchObject({inFlight: 0, bytesInFlight: 0, itemsOut: 2});
  expect(stats!.occupiedMs).toBeGreaterThan(5);
  expect(stats!.busyMs).toBeLessThan(stats!.occupiedMs);
  source.next(7);
  subscription.unsubscribe();
  expect(board.snapshot()[0]).toMatchObject({inFlight: 0, bytesInFlight: 0, running: false});
});

test('positions settle everything up to them, with what has none', () => {
  const board = new StageBoard();
  const source = new Subject<bigint | null>();
  const settled = new Subject<bigint>();
  source
    .pipe(
      stages(board, 'c')(
        'tee',
        items => {
          items.subscribe();
          return settled;
        },
        {settles: {positionOf: position => position, settledTo: position => position}},
      ),
    )
    .subscribe();
  for (const position of [null, 1n, null, 2n, null]) source.next(position);
  expect(board.snapshot()[0]!.inFlight).toBe(5);
  settled.next(1n);
  expect(board.snapshot()[0]!.inFlight).toBe(3);
  settled.next(2n);
  expect(board.snapshot()[0]!.inFlight).toBe(1);
});

test('errors and unsubscription pass through', () => {
  const board = new StageBoard();
  const source = new Subject<number>();
  const errors: unknown[] = [];
  source
    .pipe(
      stages(board, 'c')(
        'fails',
        tap(() => {
          throw new Error('x');
        }),
      ),
    )
    .subscribe({error: error => errors.push(error)});
  source.next(1);
  expect(errors).toEqual([new Error('x')]);
  expect(source.observed).toBe(false);
  expect(board.snapshot()[0]!.running).toBe(false);
});

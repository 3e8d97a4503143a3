import {expect, test} from 'vitest';
import {Brake} from '../../src/flow/brake.ts';

test('who waits for room goes on when the last one releases it, and also when the source ends while it is held', async () => {
  const calls: string[] = [];
  const brake = new Brake(
    () => calls.push('stop'),
    () => calls.push('go'),
  );
  const waits = (name: string) => void brake.free().then(() => calls.push(name));
  brake.hold('a');
  brake.hold('b');
  waits('first');
  brake.release('a');
  await Promise.resolve();
  expect(calls).toEqual(['stop']);
  brake.release('b');
  await Promise.resolve();
  expect(calls).toEqual(['stop', 'go', 'first']);
  brake.hold('a');
  waits('second');
  brake.end();
  brake.release('a');
  await Promise.resolve();
  // What has ended is not started again.
  expect(calls).toEqual(['stop', 'go', 'first', 'stop', 'second']);
});

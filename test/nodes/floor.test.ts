import {expect, test} from 'vitest';
import {PurgeFloor} from '../../src/nodes/floor.ts';

test('the floor is what the last of all still needs', () => {
  const floor = new PurgeFloor();
  expect(floor.lowest).toBe(null);
  const late = floor.reserve('1zz');
  const early = floor.reserve('110');
  expect(floor.lowest).toBe('110');
  early.advance('2000');
  expect(floor.lowest).toBe('1zz');
  late.advance('110');
  expect(floor.lowest).toBe('1zz');
  late.release();
  late.release();
  expect(floor.lowest).toBe('2000');
  early.release();
  expect(floor.lowest).toBe(null);
});

test('two reservations of one version are two', () => {
  const floor = new PurgeFloor();
  const [one, other] = [floor.reserve('110'), floor.reserve('110')];
  one.release();
  expect(floor.lowest).toBe('110');
  other.release();
  expect(floor.lowest).toBe(null);
});

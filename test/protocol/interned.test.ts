import {expect, test} from 'vitest';
import {Interned} from '../../src/protocol/interned.ts';
import {parseUp} from '../../src/protocol/parse-up.ts';

const put = (ast: string) =>
  `["changeDesiredQueries",{"desiredQueriesPatch":[{"op":"put","hash":"h","ttl":0,"ast":${ast}}]}]`;
const astOf = (frame: string): unknown => {
  const [type, body] = parseUp(frame);
  if (type !== 'changeDesiredQueries') throw new Error(type);
  const [op] = body.desiredQueriesPatch;
  return op?.op === 'put' ? op.ast : undefined;
};
const condition = (value: string) =>
  `{"table":"issue","where":{"type":"simple","op":"=","left":{"type":"column","name":"n"},"right":{"type":"literal","value":${value}}}}`;

test('what clients send alike is one object, what differs is not', () => {
  const first = astOf(put(condition('1')));
  expect(astOf(put(condition(' 1.0 ')))).toBe(first);
  expect(astOf(put(condition('2')))).not.toBe(first);
  expect(astOf(put(condition('"1"')))).not.toBe(first);
});

test('infinity is not null, though JSON writes it so', () => {
  const [infinite, nothing] = ['1e999', 'null'].map(value =>
    astOf(put(`{"table":"issue","start":{"row":{"n":${value}},"exclusive":true}}`)),
  );
  expect(infinite).toMatchObject({start: {row: {n: Number.POSITIVE_INFINITY}}});
  expect(nothing).toMatchObject({start: {row: {n: null}}});
});

test('what does not fit is refused with its place, however often it comes, and unknown fields are left out', () => {
  const wrong = put('{"table":"issue","where":{"type":"simple","op":"nearly"}}');
  for (let i = 0; i < 2; i++)
    expect(() => astOf(wrong)).toThrow(/at desiredQueriesPatch\.0\.ast\.where\.op: /);
  expect(() => astOf(put('7'))).toThrow(/at desiredQueriesPatch\.0\.ast: /);
  expect(astOf(put('{"table":"issue","extra":1}'))).toEqual({table: 'issue'});
});

test('what could not be made is not kept', () => {
  const known = new Interned<{readonly n: number}>();
  const refuse = () => {
    throw new Error('no');
  };
  expect(() => known.of([1], refuse)).toThrow('no');
  const made = known.of([1], () => ({n: 1}));
  expect(known.of([1], refuse)).toBe(made);
});

import {expect, test} from 'vitest';
import {rowId} from '../../src/ivm/row-id.ts';
import type {PokePart} from '../../src/protocol/down.ts';
import {PokeBody, PokeFrames} from '../../src/sync/poke.ts';

/** Some 3 MB of rows, and so several parts. */
const largeBody = (): PokeBody => {
  const body = new PokeBody('zero_0');
  for (let i = 0; i < 3000; i++)
    body.put({
      id: rowId('issue', {id: `i${i}`}),
      table: 'issue',
      rowVersion: '01',
      put: JSON.stringify({id: `i${i}`, text: 'é'.repeat(1000)}),
    });
  body.got.push({op: 'put', hash: 'q1'});
  return body;
};

const framesOf = (body: PokeBody) => new PokeFrames(null, '01', body.parts());

test('a large poke sent piece by piece is the one that is sent whole, and each row is in it once', () => {
  const pieces = framesOf(largeBody());
  const begun = [...pieces.beginning()];
  expect(begun.length).toBeGreaterThan(2);
  const sent = [...begun.flat(), pieces.end].map(frame => frame.toString());
  expect(sent).toEqual(
    framesOf(largeBody())
      .all()
      .map(frame => frame.toString()),
  );
  const messages = sent.map(frame => JSON.parse(frame) as [string, PokePart]);
  expect(messages.map(([type]) => type)).toEqual([
    'pokeStart',
    ...Array.from({length: sent.length - 2}, () => 'pokePart'),
    'pokeEnd',
  ]);
  const puts = messages.flatMap(([, {rowsPatch = []}]) => rowsPatch);
  expect(puts.map(put => 'value' in put && put.value['id'])).toEqual(
    Array.from({length: 3000}, (_, i) => `i${i}`),
  );
  expect(messages[1]![1].gotQueriesPatch).toEqual([{op: 'put', hash: 'q1'}]);
});

test('frames are made once, and rows are encoded once for all pokes that say them', () => {
  const rows = largeBody();
  const own = new PokeBody('zero_0');
  own.append(rows);
  expect(own.parts()[0]!.rows!.bytes).toBe(rows.parts()[0]!.rows!.bytes);
  const frames = framesOf(rows);
  const [first] = frames.beginning();
  expect(frames.all()[0]).toBe(first![0]);
  expect(frames.all()[1]).toBe(first![1]);
  expect(frames.all()).toBe(frames.all());
});

test('a poke without a part begins with nothing', () => {
  const frames = framesOf(new PokeBody('zero_0'));
  expect([...frames.beginning()]).toEqual([]);
  expect(frames.all().map(frame => frame.toString())).toEqual([
    '["pokeStart",{"pokeID":"01","baseCookie":null}]',
    '["pokeEnd",{"pokeID":"01","cookie":"01"}]',
  ]);
});

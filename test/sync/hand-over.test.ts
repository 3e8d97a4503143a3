import {expect, test} from 'vitest';
import type {QueryGraph} from '../../src/ivm/registry.ts';
import {handOver} from '../../src/sync/hand-over.ts';

const graph = (hydrationMs: number) => ({hydrationMs}) as QueryGraph;

/** What happens, in order: `leave n` and `sleep ms`. */
const run = async (groups: readonly (readonly QueryGraph[])[], budgetMs = 60_000): Promise<string[]> => {
  const events: string[] = [];
  await handOver(
    groups.map((graphs, n) => ({graphs: () => graphs, leave: () => events.push(`leave ${n}`)})),
    {
      budgetMs,
      sleep: async ms => {
        events.push(`sleep ${Math.round(ms)}`);
      },
    },
  );
  return events;
};

test('a group leaves when the hydrations of the one before have had their time', async () => {
  expect(await run([[graph(58), graph(100)], [graph(298)], [graph(1000)]])).toEqual([
    'leave 0',
    'sleep 267',
    'leave 1',
    'sleep 500',
    'leave 2',
  ]);
});

test('a graph that groups share is waited for once, and small pauses are put together', async () => {
  const shared = graph(118);
  expect(await run(Array.from({length: 9}, () => [shared]))).toEqual([
    'leave 0',
    'sleep 200',
    ...[1, 2, 3, 4, 5, 6].map(n => `leave ${n}`),
    'sleep 20',
    'leave 7',
    'leave 8',
  ]);
});

test('all of it keeps within its time', async () => {
  const events = await run([[graph(6000)], [graph(12_000)], [graph(1)]], 900);
  expect(events).toEqual(['leave 0', 'sleep 300', 'leave 1', 'sleep 600', 'leave 2']);
});

test('nothing to hand over takes no time', async () => {
  expect(await run([])).toEqual([]);
  expect(await run([[graph(5000)]])).toEqual(['leave 0']);
});

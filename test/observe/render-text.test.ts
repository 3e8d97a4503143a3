import {expect, test} from 'vitest';
import type {DaemonInspection} from '../../src/observe/inspection.ts';
import {renderText} from '../../src/observe/render-text.ts';

const many = <T>(make: (i: number) => T): T[] => Array.from({length: 250}, (_, i) => make(i));

const inspection: DaemonInspection = {
  taskID: 'task',
  serverVersion: '0.0.0',
  startedAtMs: 0,
  atMs: 1000,
  replicator: null,
  processes: [],
  workers: [
    {
      index: 0,
      version: '01',
      stages: [],
      faults: [],
      pastFaults: [],
      graphs: many(i => ({
        id: `g${i}`,
        ast: {table: `table${i}`},
        rows: 1,
        subscribers: 2,
        hydrationMs: i,
        advances: 0,
        advanceMs: 0,
        changesOut: 0,
        rowsTouched: 0,
        recomputed: 0,
        ways: [],
        operators: [],
        missingIndexes: [],
      })),
      groups: many(i => ({
        clientGroupID: `group${i}`,
        cvrVersion: '01',
        servedVersion: '01',
        userID: null,
        pendingRows: i % 200,
        queries: [],
        clients: [{clientID: 'c', cookie: '01', bufferedBytes: i === 7 ? 1 : 0}],
      })),
    },
  ],
};

test('of hundreds of graphs and groups the costliest and those most behind are shown', () => {
  const lines = renderText(inspection, null, {sql: false}).split('\n');
  expect(lines.filter(line => line.startsWith('  g2'))[0]).toContain('g249 table249: 1 row · 2 subscribers');
  expect(lines).toContain('  150 cheaper query graphs not shown; --json has all');
  const groups = lines.filter(line => line.startsWith('  group '));
  expect(groups).toHaveLength(100);
  expect(groups[0]).toContain('group7: at 01 · 1 client · 0 queries · 7 rows pending · 1 B unsent');
  expect(groups[1]).toContain('group199: at 01 · 1 client · 0 queries · 199 rows pending');
  expect(lines).toContain('  150 more client groups not shown; --json has all');
});

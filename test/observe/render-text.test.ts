import {expect, test} from 'vitest';
import type {
  DaemonInspection,
  ReplicatorInspection,
  SubscriberInspection,
} from '../../src/observe/inspection.ts';
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

const QUIET: ReplicatorInspection = {
  state: 'streaming',
  stages: [],
  replicaFile: 'replica.db',
  replicaBytes: 0,
  walBytes: 0,
  replicaVersion: '01',
  appliedVersion: '01',
  loggedVersion: '01',
  ackedLsn: null,
  slot: null,
  lagMs: null,
  lagMeasuredAtMs: null,
  reading: [],
  follows: null,
  subscribers: [],
  recoveries: [],
  faults: [],
  pastFaults: [],
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

test('a node that has all there is follows live, though what it got last was read from the change log', () => {
  const shown = (consumedVersion: string) => {
    const subscriber: SubscriberInspection = {
      taskID: 'vs',
      address: '127.0.0.1',
      connectedAtMs: 0,
      sentVersion: '05',
      consumedVersion,
      sentBytes: 1,
      bytesInFlight: 0,
      lagMs: null,
      live: false,
    };
    const replicator = {
      ...QUIET,
      appliedVersion: '05',
      subscribers: [subscriber],
    };
    return renderText({...inspection, replicator}, null, {sql: false});
  };
  expect(shown('05')).toContain('followed by vs (127.0.0.1) · live · sent 05');
  expect(shown('04')).toContain('followed by vs (127.0.0.1) · reading the change log · sent 05');
});

test('warnings are not called faults', () => {
  const shown = (severity: 'warning' | 'fault') => {
    const fault = {
      code: 'R014',
      severity,
      what: 'A table is left out.',
      remedy: 'Give it a key.',
      sinceMs: 0,
    };
    return renderText({...inspection, replicator: {...QUIET, faults: [fault]}}, null, {sql: false});
  };
  expect(shown('warning')).toContain('\nWARNINGS\n  ! R014');
  expect(shown('fault')).toContain('\nFAULTS\n  ✖ R014');
});

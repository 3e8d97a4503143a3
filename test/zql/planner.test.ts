import {afterAll, beforeAll, expect, test} from 'vitest';
import {analyzeQuery, type QueryAnalysis} from '../../src/ivm/explain.ts';
import {readTableSpecs} from '../../src/replica/read-schema.ts';
import {Timeline} from '../../src/replica/snapshots.ts';
import type {AST} from '../../src/zql/ast.ts';
import {and, child, exists, notExists, or, where} from '../helpers/ast.ts';
import {TestReplica} from '../helpers/test-replica.ts';

/** 20,000 issues: four statuses of a quarter each and one of five rows; 50 labels of 400 issues; 200 owners of 100. */
let replica: TestReplica;
let timeline: Timeline;
const ISSUES = 20_000;

beforeAll(() => {
  replica = new TestReplica([
    {name: 'user', columns: {id: 'text', name: 'text'}, key: ['id']},
    {
      name: 'issue',
      columns: {id: 'text', num: 'int4', status: 'text', owner: 'text', updated: 'int4', text: 'text'},
      key: ['id'],
      indexes: [['status'], ['num'], ['owner']],
    },
    {name: 'label', columns: {id: 'text', name: 'text'}, key: ['id']},
    {
      name: 'issue_label',
      columns: {issue: 'text', label: 'text'},
      key: ['issue', 'label'],
      indexes: [['label']],
    },
    {name: 'note', columns: {id: 'text', issue: 'text'}, key: ['id']},
  ]);
  const status = (n: number) => (n % 4000 === 7 ? 'rare' : `s${n % 4}`);
  replica.transact([
    ...Array.from({length: 200}, (_, n) => ({
      op: 'set' as const,
      table: 'user',
      row: {id: `u${n}`, name: `name ${n}`},
    })),
    ...Array.from({length: 50}, (_, n) => ({
      op: 'set' as const,
      table: 'label',
      row: {id: `l${n}`, name: `label ${n}`},
    })),
    ...Array.from({length: ISSUES}, (_, n) => ({
      op: 'set' as const,
      table: 'issue',
      row: {
        id: `i${n}`,
        num: n,
        status: status(n),
        owner: `u${n % 200}`,
        updated: (n * 7919) % ISSUES,
        text: 'x'.repeat(50),
      },
    })),
    ...Array.from({length: ISSUES}, (_, n) => ({
      op: 'set' as const,
      table: 'issue_label',
      row: {issue: `i${n}`, label: `l${n % 50}`},
    })),
    ...Array.from({length: 5000}, (_, n) => ({
      op: 'set' as const,
      table: 'note',
      row: {id: `n${n}`, issue: `i${n}`},
    })),
  ]);
  replica.db.exec('ANALYZE');
  timeline = new Timeline(replica.file);
});
afterAll(() => {
  timeline.close();
  replica[Symbol.dispose]();
});

const analyze = (ast: AST, usePlanner = true): QueryAnalysis =>
  analyzeQuery(ast, timeline.current, readTableSpecs(timeline.current.db), {usePlanner});
const planOf = (analysis: QueryAnalysis): string => analysis.operators[0]!.plan!.join('\n');
const last30 = (status: string): AST => ({
  table: 'issue',
  where: where('status', '=', status),
  orderBy: [['num', 'desc']],
  limit: 30,
});
const labelled = (name: string) =>
  exists(
    child('id', 'issue', {
      table: 'issue_label',
      where: exists(child('label', 'id', {table: 'label', where: where('name', '=', name)})),
    }),
  );

test('the last 30 of a common status are found by walking the order, not by sorting the status', () => {
  const analysis = analyze(last30('s1'));
  expect(planOf(analysis)).toMatch(/SCAN t USING INDEX issue_index_1/);
  expect(planOf(analysis)).not.toMatch(/TEMP B-TREE FOR ORDER BY/);
  expect(analysis.syncedRows).toBe(30);
  expect(analysis.readRows).toBeLessThan(200);
  // What SQLite does by itself.
  const unplanned = analyze(last30('s1'), false);
  expect(planOf(unplanned)).toMatch(/TEMP B-TREE FOR ORDER BY/);
  expect(unplanned.readRows).toBeGreaterThan(4000);
});

test('of a rare status all rows are read and sorted', () => {
  const analysis = analyze(last30('rare'));
  expect(planOf(analysis)).toMatch(/SEARCH t USING INDEX issue_index_0 \(status=\?\)/);
  expect([analysis.syncedRows, analysis.readRows]).toEqual([5, 5]);
});

test('a junction EXISTS of few rows drives the query; two alternatives are united', () => {
  const ordered = analyze({
    table: 'issue',
    where: labelled('label 7'),
    orderBy: [['updated', 'desc']],
    limit: 20,
  });
  expect(planOf(ordered)).toMatch(/SEARCH t USING INDEX issue_key \(id=\?\)/);
  expect(ordered.readRows).toBeLessThan(2000);
  const either = analyze({
    table: 'issue',
    where: or(
      exists(child('owner', 'id', {table: 'user', where: where('name', '=', 'name 5')})),
      labelled('label 7'),
    ),
    orderBy: [['updated', 'desc']],
    limit: 20,
  });
  expect(planOf(either)).toMatch(/MULTI-INDEX OR/);
  expect(either.readRows).toBeLessThan(2500);
});

test('an EXISTS that most rows satisfy is tested along the order', () => {
  const analysis = analyze({
    table: 'issue',
    where: exists(child('owner', 'id', {table: 'user'})),
    orderBy: [['num', 'desc']],
    limit: 20,
  });
  expect(planOf(analysis)).toMatch(/SCAN t USING INDEX issue_index_1/);
  expect(analysis.readRows).toBeLessThan(300);
});

test('flip is obeyed where it is given', () => {
  const flipped = (flip: boolean) =>
    planOf(
      analyze({
        table: 'issue',
        where: exists(child('owner', 'id', {table: 'user', where: where('name', '=', 'name 5')}), {flip}),
      }),
    );
  expect(flipped(true)).toMatch(/SEARCH t USING (COVERING )?INDEX issue_index_2 \(owner=\?\)/);
  expect(flipped(false)).toMatch(/SCAN t/);
});

test('EXISTS and NOT EXISTS without an index list the child once instead of reading it for every parent', () => {
  for (const condition of [exists, notExists]) {
    const analysis = analyze({
      table: 'issue',
      where: and(where('num', '<', 10_000), condition(child('id', 'issue', {table: 'note'}))),
    });
    expect(analysis.syncedRowsByTable['issue']).toBe(5000);
    expect(planOf(analysis)).toMatch(/LIST SUBQUERY/);
    expect(analysis.missingIndexes.map(({statement}) => statement)).toContain('CREATE INDEX ON note (issue)');
  }
});

import {expect, test} from 'vitest';
import {analysisText, analyzeReplica} from '../../src/ivm/explain.ts';
import {createQueryRegistry} from '../../src/ivm/query-registry.ts';
import {silentLog} from '../../src/observe/log.ts';
import {child, exists, where} from '../helpers/ast.ts';
import {Scenario, set} from '../helpers/scenario.ts';

const rows = () => [
  ...set(
    'issue',
    ...Array.from({length: 3000}, (_, n) => ({id: `i${n}`, n, s: `s${n % 3}`, r: n % 5, owner: `u${n % 4}`})),
  ),
  ...set('user', ...Array.from({length: 4}, (_, n) => ({id: `u${n}`}))),
  ...set(
    'comment',
    ...Array.from({length: 2000}, (_, n) => ({id: `c${n}`, issue: `i${n}`, author: `u${n % 4}`})),
  ),
];
const ast = {
  table: 'issue',
  where: where('s', '=', 's1'),
  orderBy: [['r', 'desc']] as const,
  limit: 10,
  related: [child('id', 'issue', {table: 'comment'}), child('owner', 'id', {table: 'user'})],
};

test('an analysis tells rows synced and read by operator, SQLite’s plans, and the index that is missing', () => {
  using s = new Scenario(rows());
  const analysis = analyzeReplica(ast, s.replica.file);
  expect(analysis.syncedRowsByTable).toEqual({
    issue: 10,
    comment: expect.any(Number),
    user: expect.any(Number),
  });
  expect(analysis.operators.map(({depth, operator}) => `${depth} ${operator}`)).toEqual([
    '0 source issue',
    '1 filter',
    '1 take 10',
    '1 join comment',
    '1 join user',
  ]);
  const [source, , , comment, user] = analysis.operators;
  expect(source!.rowsRead).toBe(3000);
  expect(source!.plan).toEqual(['SCAN t', 'USE TEMP B-TREE FOR ORDER BY']);
  expect(comment!.plan!.join()).toMatch(/SEARCH t USING INDEX comment_index_0 \(issue=\?\)/);
  expect(user!.rowsRead).toBe(user!.rows);
  expect(analysis.readRows).toBe(3000 + comment!.rowsRead! + user!.rowsRead!);
  expect(analysis.missingIndexes).toEqual([
    {
      table: 'issue',
      columns: ['s', 'r'],
      why: 'the query reads the whole table',
      statement: 'CREATE INDEX ON issue (s, r)',
    },
  ]);
  const text = analysisText(analysis);
  expect(text).toContain('source issue: 10 rows, 3000 read');
  expect(analysisText({...analysis, readRows: 12_345})).toContain(', 12345 rows read, ');
  expect(text).toContain('missing index: CREATE INDEX ON issue (s, r);');
});

test('keys without an index are named, down and up', () => {
  using s = new Scenario(rows());
  const {missingIndexes} = analyzeReplica(
    {table: 'comment', where: exists(child('author', 'owner', {table: 'issue', related: []}))},
    s.replica.file,
  );
  expect(missingIndexes.map(({statement}) => statement)).toEqual(['CREATE INDEX ON comment (author)']);
});

test('a query that cannot be answered says why', () => {
  using s = new Scenario([]);
  expect(() => analyzeReplica({table: 'nowhere'}, s.replica.file)).toThrow(/no table "nowhere"/);
});

test('a slow hydration is logged with the index it misses and, if wished, the rows it read', async () => {
  using s = new Scenario(rows());
  const lines: {fields: Record<string, unknown>; message: string}[] = [];
  const log = Object.assign(Object.create(silentLog), {
    warn: (fields: Record<string, unknown>, message: string) => lines.push({fields, message}),
  });
  const registry = createQueryRegistry({
    replicaFile: s.replica.file,
    appID: 'app',
    log,
    slowHydrateMs: -1,
    countVisits: true,
    lingerRows: 0,
  });
  await registry.acquire(ast, {});
  expect(lines[0]!.message).toContain('CREATE INDEX ON issue (s, r)');
  expect(lines[0]!.fields).toMatchObject({
    rowsRead: expect.any(Number),
    missingIndexes: ['CREATE INDEX ON issue (s, r)'],
  });
  expect(lines[0]!.fields['rowsRead']).toBeGreaterThan(3000);
  const [inspected] = registry.inspectGraphs();
  expect(inspected!.missingIndexes).toEqual(['CREATE INDEX ON issue (s, r)']);
  expect(inspected!.operators[0]).toMatchObject({
    rowsRead: 3000,
    plan: ['SCAN t', 'USE TEMP B-TREE FOR ORDER BY'],
  });
  registry.close();
});

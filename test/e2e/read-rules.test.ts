import {SignJWT} from 'jose';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {UpQueryOp} from '../../src/protocol/up.ts';
import type {AST, Condition} from '../../src/zql/ast.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {StoreClient} from '../helpers/store-client.ts';
import {until} from '../helpers/until.ts';

/** Deployed select rules hold at every level of a client's query, and from the moment they change (mutations-auth.md §8). */
const SECRET = 'a secret of some length for HS256';
const text = {type: 'string' as const};
const schema = {
  tables: {
    issue: {columns: {id: text, owner: text}, primaryKey: ['id']},
    comment: {columns: {id: text, issue: text, author: text, shown: text}, primaryKey: ['id']},
    member: {columns: {id: text, issue: text, who: text}, primaryKey: ['id']},
  },
};
const equals = (name: string, right: Extract<Condition, {type: 'simple'}>['right']): Condition => ({
  type: 'simple',
  op: '=',
  left: {type: 'column', name},
  right,
});
const literal = (value: string) => ({type: 'literal' as const, value});
const SUB = {type: 'static' as const, anchor: 'authData' as const, field: 'sub'};
const ofIssue = (table: string, where?: Condition, system?: 'permissions') => ({
  correlation: {parentField: ['id'], childField: ['issue']},
  subquery: {table, alias: `zsubq_${table}`, ...(where ? {where} : {})},
  ...(system ? {system} : {}),
});
const exists = (related: ReturnType<typeof ofIssue>, op: 'EXISTS' | 'NOT EXISTS' = 'EXISTS'): Condition => ({
  type: 'correlatedSubquery',
  related,
  op,
});

const ISSUES = [equals('owner', SUB), exists(ofIssue('member', equals('who', SUB), 'permissions'))];
const COMMENTS = [equals('author', SUB), equals('shown', literal('all'))];

let db: TestDatabase;
let daemon: Daemon;

const deploy = (rules: Readonly<Record<string, readonly Condition[]>>) =>
  db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({
      tables: Object.fromEntries(
        Object.entries(rules).map(([name, select]) => [
          name,
          {row: {select: select.map(rule => ['allow', rule])}},
        ]),
      ),
    }),
  ]);

const ALL = {type: 'and', conditions: []} as const;

beforeAll(async () => {
  db = await createDatabase(`
    CREATE TABLE issue (id text PRIMARY KEY, owner text NOT NULL);
    CREATE TABLE comment (id text PRIMARY KEY, issue text NOT NULL, author text NOT NULL, shown text NOT NULL);
    CREATE TABLE member (id text PRIMARY KEY, issue text NOT NULL, who text NOT NULL);
    INSERT INTO issue VALUES ('i-ann', 'ann'), ('i-bob', 'bob'), ('i-both', 'bob'), ('i-eve', 'eve');
    INSERT INTO member VALUES ('m1', 'i-both', 'ann');
    INSERT INTO comment VALUES ('c1', 'i-ann', 'ann', 'self'), ('c2', 'i-ann', 'eve', 'self'), ('c3', 'i-ann', 'eve', 'all'),
      ('c4', 'i-both', 'eve', 'self'), ('c5', 'i-both', 'bob', 'self'), ('c6', 'i-eve', 'ann', 'all')`);
  daemon = await startDaemon({upstream: db.url, appID: db.appID, env: {ZERO_AUTH_SECRET: SECRET}});
  await deploy({issue: ISSUES, comment: COMMENTS});
  await until(async () => {
    await using probe = await connect('ann', {table: 'issue'});
    return shown(probe, 'issue') !== '';
  }, 'the rules are in force');
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

const put = (ast: AST, hash = 'q'): UpQueryOp => ({op: 'put', hash, ast});

const connect = async (sub: string, ast: AST): Promise<StoreClient> => {
  const client = await StoreClient.open({
    url: daemon.url,
    schema,
    userID: sub,
    authToken: await new SignJWT({sub})
      .setProtectedHeader({alg: 'HS256'})
      .sign(new TextEncoder().encode(SECRET)),
    init: {desiredQueriesPatch: [put(ast)]},
  });
  await client.until(() => client.store.got.has('q'), 'the query is got');
  return client;
};

const shown = ({store}: StoreClient, table: string): string =>
  store
    .table(table)
    .map(({id}) => id)
    .join();
const shows = (client: StoreClient, rows: Readonly<Record<'issue' | 'comment' | 'member', string>>) => {
  const all = () => Object.fromEntries(Object.keys(rows).map(table => [table, shown(client, table)]));
  return client.until(
    () => JSON.stringify(all()) === JSON.stringify(rows),
    `${JSON.stringify(rows)} is shown, not ${JSON.stringify(all())}`,
  );
};

const WITH_COMMENTS: AST = {
  table: 'issue',
  related: [{...ofIssue('comment'), subquery: {table: 'comment', alias: 'comments'}}],
};

test('rows of related tables are those that the user may see, and rows that rules look at are not told', async () => {
  await using ann = await connect('ann', WITH_COMMENTS);
  await using bob = await connect('bob', WITH_COMMENTS);
  await using eve = await connect('eve', WITH_COMMENTS);
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c3', member: ''});
  await shows(bob, {issue: 'i-bob,i-both', comment: 'c5', member: ''});
  await shows(eve, {issue: 'i-eve', comment: 'c6', member: ''});
});

test('a condition on rows that the user may not see says nothing of them', async () => {
  const hidden = equals('author', literal('eve'));
  const is = (id: string) => equals('id', literal(id));
  for (const [where, issue] of [
    // c4 is eve's own, and ann is a member of the issue.
    [exists(ofIssue('comment', hidden)), 'i-ann'],
    [exists(ofIssue('comment', {type: 'and', conditions: [hidden, equals('shown', literal('self'))]})), ''],
    [exists(ofIssue('comment', hidden), 'NOT EXISTS'), 'i-both'],
    [
      {type: 'or', conditions: [exists(ofIssue('comment', equals('id', literal('c4')))), is('i-both')]},
      'i-both',
    ],
    // Nobody may see members, whatever a client says of its subquery.
    [exists(ofIssue('member')), ''],
    [exists(ofIssue('member', undefined, 'permissions')), ''],
    [{...exists(ofIssue('comment', equals('id', literal('c2')))), scalar: true} as Condition, ''],
    [{...exists(ofIssue('comment', equals('id', literal('c2')))), flip: true} as Condition, ''],
  ] as const) {
    await using ann = await connect('ann', {table: 'issue', where});
    expect([where, shown(ann, 'issue')]).toEqual([where, issue]);
  }
});

test('a row that a rule looks at decides when it comes and when it goes', async () => {
  await using ann = await connect('ann', WITH_COMMENTS);
  await db.query(`INSERT INTO member VALUES ('m2', 'i-eve', 'ann')`);
  await shows(ann, {issue: 'i-ann,i-both,i-eve', comment: 'c1,c3,c6', member: ''});
  await db.query(`DELETE FROM member WHERE id = 'm2'`);
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c3', member: ''});
  expect(ann.violations).toEqual([]);
});

test('rules that change while clients are connected hold at once, at every level; queries stay got', async () => {
  await using ann = await connect('ann', WITH_COMMENTS);
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c3', member: ''});
  const before = ann.messages.length;
  await deploy({issue: ISSUES, comment: [ALL]});
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c2,c3,c4,c5', member: ''});
  await deploy({issue: [equals('owner', SUB)], comment: COMMENTS});
  await shows(ann, {issue: 'i-ann', comment: 'c1,c3', member: ''});
  await deploy({issue: ISSUES});
  await shows(ann, {issue: 'i-ann,i-both', comment: '', member: ''});
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = NULL`);
  await shows(ann, {issue: '', comment: '', member: ''});
  // What comes meanwhile is seen by the rules that come after.
  await db.query(`INSERT INTO comment VALUES ('c7', 'i-ann', 'ann', 'self')`);
  await deploy({issue: ISSUES, comment: COMMENTS});
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c3,c7', member: ''});
  await db.query(`DELETE FROM comment WHERE id = 'c7'`);
  await shows(ann, {issue: 'i-ann,i-both', comment: 'c1,c3', member: ''});
  const told = ann.messages.slice(before).flatMap(([type, body]) => (type === 'pokePart' ? [body] : []));
  expect(told.flatMap(({gotQueriesPatch = []}) => gotQueriesPatch)).toEqual([]);
  expect(ann.violations).toEqual([]);
  expect(ann.error).toBeNull();
});

import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {SignJWT} from 'jose';
import {afterAll, beforeAll, expect, inject, test} from 'vitest';
import {ANYONE} from '../e2e/permissions.ts';
import {type AppServer, startAppServer} from '../helpers/app-server.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type RawClient, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';
import {fixtureReplay} from './io.ts';
import {startRecording} from './start-recording.ts';

/** What clients are told depends on who they are, on deployed rules and on an app's server: a replay has only the recording. */
const SECRET = 'a secret of some length for HS256';
const HEADER = 'a header that only the app is to see';
const now = () => Math.floor(Date.now() / 1000);
const tokens: string[] = [];
const token = async (sub: string, claims: object = {}) => {
  const made = await new SignJWT({sub, iat: now(), ...claims})
    .setProtectedHeader({alg: 'HS256'})
    .sign(new TextEncoder().encode(SECRET));
  tokens.push(made);
  return made;
};

const columns = {id: {type: 'string'}, owner: {type: 'string'}, team: {type: 'string'}};
const clientSchema = {
  tables: {
    note: {columns, primaryKey: ['id']},
    member: {
      columns: {id: {type: 'string'}, team: {type: 'string'}, who: {type: 'string'}},
      primaryKey: ['id'],
    },
  },
};
const byId = [['id', 'asc']];
const equals = (left: object, right: object) => ({type: 'simple', op: '=', left, right});
const column = (name: string) => ({type: 'column', name});
const literal = (value: string) => ({type: 'literal', value});
const claim = (field: string | string[]) => ({type: 'static', anchor: 'authData', field});
const own = equals(column('owner'), claim('sub'));
const admin = equals(literal('admin'), claim(['app', 'role']));
/** Members of the note's team: rows that a rule looks at are never told. */
const ofTeam = {
  type: 'correlatedSubquery',
  op: 'EXISTS',
  related: {
    system: 'permissions',
    correlation: {parentField: ['team'], childField: ['team']},
    subquery: {table: 'member', alias: 'zsubq_member', where: equals(column('who'), claim('sub'))},
  },
};

let root: string;
let db: TestDatabase;
let app: AppServer;
let daemon: Daemon;
/** Whose notes a named query means. */
let meaning = 'x';
let down = false;
let failures = 0;

const deploy = (...rules: object[]) =>
  db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [
    JSON.stringify({tables: {note: {row: {select: rules.map(rule => ['allow', rule])}}, member: {row: {}}}}),
  ]);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'zs-talk-'));
  db = await createDatabase(`
    CREATE TABLE note (id text PRIMARY KEY, owner text NOT NULL, team text NOT NULL);
    CREATE TABLE member (id text PRIMARY KEY, team text NOT NULL, who text NOT NULL);
    INSERT INTO note VALUES ('a1', 'ann', 'red'), ('b1', 'bob', 'blue'), ('x1', 'x', 'green'), ('y1', 'y', 'green');
    INSERT INTO member VALUES ('m1', 'blue', 'ann')`);
  app = await startAppServer(db.pool);
  app.intercept = ({body}, response) => {
    const [, asked] = body as [string, {id: string; name: string}[]];
    if (down && asked.length) {
      failures++;
      response.statusCode = 400;
    }
    const queries = asked.map(({id, name}) =>
      name === 'refused'
        ? {error: 'app', id, name, message: 'Not for you.'}
        : {id, name, ast: {table: 'note', where: equals(column('owner'), literal(meaning)), orderBy: byId}},
    );
    response.end(JSON.stringify({kind: 'QueryResponse', queries}));
    return true;
  };
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      ZERO_AUTH_SECRET: SECRET,
      ZERO_QUERY_URL: `${app.url}/query`,
      ZERO_QUERY_ALLOWED_CLIENT_HEADERS: 'x-chosen',
      ZERO_AUTH_RETRANSFORM_INTERVAL_SECONDS: '1',
    },
    args: ['--yield-threshold-ms', '10000'],
  });
  await deploy(own, admin, ofTeam);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await app?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
  rmSync(root, {recursive: true, force: true});
});

const connect = async (name: string, ...names: string[]) =>
  rawClient({
    server: daemon.url,
    userID: name,
    token: await token(name),
    init: {
      clientSchema,
      desiredQueriesPatch: [
        {op: 'put', hash: 'notes', ast: {table: 'note', orderBy: byId}},
        ...names.map(query => ({op: 'put', hash: query, name: query, args: []})),
      ],
      userQueryHeaders: {'x-chosen': HEADER},
      userPushHeaders: {'x-chosen': HEADER},
      userQueryURL: `${app.url}/query?key=${encodeURIComponent(HEADER)}`,
    },
  });

/** One more connection of a client's group, which asks for nothing. */
const tabOf = async ({clientGroupID}: RawClient, name: string) =>
  rawClient({
    server: daemon.url,
    userID: name,
    token: await token(name),
    clientGroupID,
    init: {clientSchema, desiredQueriesPatch: []},
  });

const held = ({received}: RawClient): string => {
  const ids = new Set<string>();
  for (const [type, body] of received)
    if (type === 'pokePart')
      for (const {op, value, id} of (body as {rowsPatch?: {op: string; value?: never; id?: never}[]})
        .rowsPatch ?? [])
        if (op === 'put') ids.add(value!['id']);
        else ids.delete(id!['id']);
  return [...ids].sort().join();
};
const holds = (client: RawClient, wanted: string) =>
  until(
    () => held(client) === wanted,
    `${wanted} is held, not ${held(client)} ${JSON.stringify(client.errors)}`,
  );

test('who may see what, and what the app says of queries, replays from the recording alone, which holds no credential', async () => {
  const dir = join(root, 'wal', 'talk');
  const end = await startRecording({
    server: daemon.url,
    out: dir,
    about: 'with credentials',
    reconnectClients: true,
  });
  const talk = () =>
    readdirSync(dir)
      .filter(name => name.startsWith('conversation-'))
      .map(name => readFileSync(join(dir, name), 'utf8'))
      .join('');
  await until(() => talk().includes('"op":"begin"'), 'the worker is recorded');

  using ann = await connect('ann', 'named', 'refused');
  using bob = await connect('bob', 'named');
  await holds(ann, 'a1,b1,x1');
  await holds(bob, 'b1,x1');
  expect(await ann.next('transformError')).toMatchObject([{id: 'refused', message: 'Not for you.'}]);
  // A row that a rule looks at.
  await db.query(`INSERT INTO member VALUES ('m2', 'green', 'bob')`);
  await holds(bob, 'b1,x1,y1');
  ann.send(['updateAuth', {auth: await token('ann', {iat: now() + 5, app: {role: 'admin'}})}]);
  await holds(ann, 'a1,b1,x1,y1');
  await deploy(own);
  await holds(ann, 'a1,x1');
  await holds(bob, 'b1,x1');
  meaning = 'y';
  await holds(ann, 'a1,y1');
  await holds(bob, 'b1,y1');
  // A second tab with another credential: what the group sees is what the newest one may.
  await deploy(own, admin);
  await holds(ann, 'a1,b1,x1,y1');
  using tab = await tabOf(ann, 'ann');
  await holds(tab, 'a1,y1');
  await holds(ann, 'a1,y1');
  using stranger = await connect('bob');
  using intruder = await tabOf(ann, 'bob');
  await intruder.ended();
  await holds(stranger, 'b1');
  // The app fails when the group itself asks.
  down = true;
  await until(() => failures > 2, 'the app is asked in vain');
  await deploy({type: 'or', conditions: ANYONE.map(([, rule]) => rule)});
  await bob.ended();
  expect(bob.errors).toMatchObject([{kind: 'TransformFailed', reason: 'http', status: 400}]);
  await until(() => held(stranger) === 'a1,b1,x1,y1', 'who asks for nothing by name is served');
  await end(db);

  const said = talk();
  const lines = ['"transformed"', '"retransform"', '"updateAuth"', '"failed"', '"role":"admin"'];
  expect(lines.filter(line => !said.includes(line))).toEqual([]);
  const secrets = [...tokens, SECRET, HEADER, encodeURIComponent(HEADER)];
  expect(secrets.filter(secret => said.includes(secret))).toEqual([]);
  const {code, out} = await fixtureReplay('--diff', '--postgres', inject('postgresUrl'), dir);
  expect(code, out).toBe(0);
  expect(out).toMatch(/[1-9]\d* messages to clients/);
}, 120_000);

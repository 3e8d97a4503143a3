import {SignJWT} from 'jose';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {ddl} from '../helpers/app-schema.ts';
import {type AppServer, startAppServer} from '../helpers/app-server.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type RawClient, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';

/** Who a connection is, from connect to close (mutations-auth.md §5). */
const SECRET = 'a secret of some length for HS256';
const now = () => Math.floor(Date.now() / 1000);
const token = (sub: string, claims: object = {}) =>
  new SignJWT({sub, iat: now(), ...claims})
    .setProtectedHeader({alg: 'HS256'})
    .sign(new TextEncoder().encode(SECRET));

const noteSchema = {
  tables: {
    note: {
      columns: {id: {type: 'string'}, rank: {type: 'number'}, text: {type: 'string'}},
      primaryKey: ['id'],
    },
  },
};
const notes = {op: 'put', hash: 'notes', ast: {table: 'note', orderBy: [['id', 'asc']]}};
const init = {clientSchema: noteSchema, desiredQueriesPatch: [notes]};

interface Part {
  readonly gotQueriesPatch?: readonly {readonly op: string; readonly hash: string}[];
  readonly rowsPatch?: readonly {
    readonly op: string;
    readonly value?: {readonly id: string};
    readonly id?: {readonly id: string};
  }[];
}
/** What the client holds, by what it was sent. */
const held = (client: RawClient): string[] => {
  const ids = new Set<string>();
  for (const [type, body] of client.received)
    if (type === 'pokePart')
      for (const {op, value, id} of (body as Part).rowsPatch ?? [])
        if (op === 'put') ids.add(value!.id);
        else ids.delete(id!.id);
  return [...ids].sort();
};
const got = (client: RawClient, hash: string) =>
  client.next<Part>('pokePart', part => Boolean(part.gotQueriesPatch?.some(op => op.hash === hash)));

let db: TestDatabase;
let daemon: Daemon;

beforeAll(async () => {
  db = await createDatabase(ddl);
  await db.query(`INSERT INTO note VALUES ('ann-1', 'ann', 1), ('bob-1', 'bob', 1), ('public', 'all', 1)`);
  daemon = await startDaemon({upstream: db.url, appID: db.appID, env: {ZERO_AUTH_SECRET: SECRET}});
  const claim = (field: string | string[]) => ({type: 'static', anchor: 'authData', field});
  const equals = (left: object, right: object) => ['allow', {type: 'simple', op: '=', left, right}];
  const text = {type: 'column', name: 'text'};
  const own = equals(text, claim('sub'));
  const rules = {
    tables: {
      note: {
        row: {
          select: [
            own,
            equals(text, {type: 'literal', value: 'all'}),
            equals({type: 'literal', value: 'admin'}, claim(['app', 'role'])),
          ],
          insert: [own],
        },
      },
    },
  };
  await db.query(`UPDATE "${db.appID}".permissions SET permissions = $1`, [JSON.stringify(rules)]);
  await until(async () => {
    using probe = rawClient({server: daemon.url, userID: null, init});
    await got(probe, 'notes');
    return held(probe).length > 0;
  }, 'the permissions are in force');
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});

const connect = async (userID: string | null, options: Partial<Parameters<typeof rawClient>[0]> = {}) =>
  rawClient({
    server: daemon.url,
    readIn: db,
    userID,
    init,
    ...(userID === null ? {} : {token: await token(userID)}),
    ...options,
  });

test('rules see the claims of a verified token, for reads and writes', async () => {
  using ann = await connect('ann');
  using nobody = await connect(null);
  await got(ann, 'notes');
  await got(nobody, 'notes');
  expect(held(ann)).toEqual(['ann-1', 'public']);
  expect(held(nobody)).toEqual(['public']);
  const write = (client: RawClient, id: number, key: string, text: string) =>
    client.crud(id, [{op: 'insert', tableName: 'note', value: {id: key, text, rank: 1}}]);
  write(ann, 1, 'ann-2', 'ann');
  write(ann, 2, 'forged', 'bob');
  write(nobody, 1, 'anonymous', 'ann');
  await ann.confirmed(2);
  await nobody.confirmed(1);
  const {rows} = await db.query(`SELECT id FROM note WHERE id IN ('ann-2', 'forged', 'anonymous')`);
  expect(rows).toEqual([{id: 'ann-2'}]);
  await db.query(`DELETE FROM note WHERE id = 'ann-2'`);
});

test('bad tokens are refused with code 3000, and do not take the place of the client they claim to be', async () => {
  using ann = await connect('ann');
  await got(ann, 'notes');
  const same = {clientGroupID: ann.clientGroupID, clientID: ann.clientID};
  for (const [bad, kind] of [
    [await token('bob'), 'AuthInvalidated'],
    [await token('ann', {exp: now() - 10}), 'AuthInvalidated'],
    [`${(await token('ann')).slice(0, -4)}AAAA`, 'AuthInvalidated'],
  ] as const) {
    using intruder = await connect('ann', {...same, token: bad});
    expect((await intruder.ended()).code).toBe(3000);
    expect(intruder.errors).toMatchObject([{kind, origin: 'zeroCache'}]);
  }
  using unnamed = await connect(null, {...same, token: await token('ann')});
  expect((await unnamed.ended()).code).toBe(3000);
  expect(unnamed.errors).toMatchObject([{kind: 'Unauthorized'}]);
  expect(ann.closed).toBeNull();
});

test('a group belongs to the user of its first client', async () => {
  using ann = await connect('ann');
  await got(ann, 'notes');
  for (const userID of ['bob', null]) {
    using other = await connect(userID, {clientGroupID: ann.clientGroupID});
    expect((await other.ended()).code).toBe(3000);
    expect(other.errors).toMatchObject([{kind: 'Unauthorized'}]);
  }
  using tab = await connect('ann', {clientGroupID: ann.clientGroupID});
  await tab.next('pokeEnd');
  expect(ann.closed).toBeNull();
});

test('where one client of a group has a token, another cannot come, or stay, by the name of the user alone', async () => {
  using ann = await connect('ann');
  await got(ann, 'notes');
  const {clientGroupID} = ann;
  using late = await connect('ann', {clientGroupID, token: ''});
  expect((await late.ended()).code).toBe(3000);
  expect(late.errors).toMatchObject([{kind: 'Unauthorized'}]);
  expect(held(ann)).toEqual(['ann-1', 'public']);
  for (const how of ['connects', 'renews']) {
    using early = await connect('ann', {token: ''});
    await got(early, 'notes');
    expect(held(early)).toEqual(['public']);
    using owner = await connect('ann', {
      clientGroupID: early.clientGroupID,
      ...(how === 'renews' ? {token: ''} : {}),
    });
    if (how === 'renews') {
      await owner.next('pokeEnd');
      owner.send(['updateAuth', {auth: await token('ann')}]);
    }
    await until(() => held(owner).includes('ann-1'), 'the owner sees her rows');
    expect((await early.ended()).code).toBe(3000);
    expect(early.errors).toMatchObject([{kind: 'Unauthorized'}]);
    expect(held(early)).toEqual(['public']);
  }
});

test('a new token changes what is seen; an older one does not, and another user ends the connection', async () => {
  using ann = await connect('ann');
  await got(ann, 'notes');
  ann.send(['updateAuth', {auth: await token('ann', {iat: now() + 5, app: {role: 'admin'}})}]);
  await until(() => held(ann).length === 3, 'the admin sees everything');
  ann.send(['updateAuth', {auth: await token('ann', {iat: now() - 50})}]);
  ann.send(['updateAuth', {auth: await token('ann', {iat: now() + 9})}]);
  await until(() => held(ann).length === 2, 'the former admin does not');
  ann.send(['updateAuth', {auth: ''}]);
  await ann.ended();
  expect(ann.errors).toMatchObject([{kind: 'Unauthorized'}]);
});

test('when its token expires the connection ends, unless a new one came in time', async () => {
  using lapsing = await connect('ann', {token: await token('ann', {exp: now() + 3})});
  using renewed = await connect('ann', {token: await token('ann', {exp: now() + 3})});
  await got(lapsing, 'notes');
  await got(renewed, 'notes');
  renewed.send(['updateAuth', {auth: await token('ann', {iat: now() + 5, exp: now() + 600})}]);
  expect((await lapsing.ended()).code).toBe(3000);
  expect(lapsing.errors).toMatchObject([{kind: 'AuthInvalidated', message: 'The auth token has expired.'}]);
  expect(renewed.closed).toBeNull();
  using back = await connect('ann', {clientGroupID: lapsing.clientGroupID, clientID: lapsing.clientID});
  await back.next('pokeEnd');
});

test('the app is asked again and again: who is refused goes, who cannot be asked about stays, and queries may change their meaning', async () => {
  await using own = await createDatabase(ddl);
  await using app: AppServer = await startAppServer(own.pool);
  await own.query(`INSERT INTO note VALUES ('a', 'x', 1), ('b', 'y', 2)`);
  await using server = await startDaemon({
    upstream: own.url,
    appID: own.appID,
    env: {
      ZERO_MUTATE_URL: `${app.url}/mutate`,
      ZERO_QUERY_URL: `${app.url}/query`,
      ZERO_AUTH_REVALIDATE_INTERVAL_SECONDS: '1',
      ZERO_AUTH_RETRANSFORM_INTERVAL_SECONDS: '1',
    },
  });
  const open = (name: string) =>
    rawClient({
      server: server.url,
      userID: name,
      token: name,
      init: {
        clientSchema: noteSchema,
        desiredQueriesPatch: [{op: 'put', hash: 'q', name: 'byText', args: [{text: 'x'}]}],
      },
    });
  using ann = open('ann');
  using bob = open('bob');
  await got(ann, 'q');
  await got(bob, 'q');
  expect(held(ann)).toEqual(['a']);
  let mode: 'down' | 'other meaning' | 'refuses bob' = 'down';
  let asked = 0;
  app.intercept = (request, response) => {
    asked++;
    if (mode === 'down') {
      response.statusCode = 500;
      response.end();
    } else if (mode === 'refuses bob' && request.headers.authorization === 'Bearer bob') {
      response.statusCode = 403;
      response.end();
    } else {
      const [, queries] = request.body as [string, {id: string; name: string}[]];
      const where = {
        type: 'simple',
        op: '=',
        left: {type: 'column', name: 'text'},
        right: {type: 'literal', value: 'y'},
      };
      response.end(
        JSON.stringify({
          kind: 'QueryResponse',
          queries: queries.map(({id, name}) => ({
            id,
            name,
            ast: {table: 'note', where, orderBy: [['id', 'asc']]},
          })),
        }),
      );
    }
    return true;
  };
  await until(() => asked >= 6, 'the app is asked in vain');
  expect([ann.closed, bob.closed]).toEqual([null, null]);
  mode = 'other meaning';
  await until(() => held(ann).join() === 'b' && held(bob).join() === 'b', 'the new meaning arrives');
  mode = 'refuses bob';
  await bob.ended();
  expect(bob.errors).toMatchObject([{kind: 'TransformFailed', reason: 'http', status: 403}]);
  const before = asked;
  await until(() => asked > before + 2, 'ann is asked about again');
  expect(ann.closed).toBeNull();
});

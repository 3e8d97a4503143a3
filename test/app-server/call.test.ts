import {once} from 'node:events';
import {createServer, type RequestListener} from 'node:http';
import type {AddressInfo} from 'node:net';
import {expect, test} from 'vitest';
import {AppCallFailed, type Caller, callApp} from '../../src/app-server/call.ts';
import {AddressRefused, createEndpoint} from '../../src/app-server/endpoint.ts';
import {readMutateResponse} from '../../src/app-server/mutate-response.ts';
import {joinPushes} from '../../src/app-server/pusher.ts';
import {readQueryResponse} from '../../src/app-server/query-response.ts';

const params = {schema: 'zero_0', appID: 'zero'};
const endpointFor = (url: string | readonly string[], timeoutMs = 20_000) =>
  createEndpoint(
    {
      url: typeof url === 'string' ? [url] : url,
      apiKey: undefined,
      forwardCookies: false,
      allowedClientHeaders: undefined,
      allowedRequestHeaders: undefined,
      timeoutMs,
    },
    params,
  )!;
const nobody: Caller = {auth: {kind: 'none'}, headers: {}, userID: null, appTargets: {}};

const withServer = async <T>(listener: RequestListener, work: (url: string) => Promise<T>): Promise<T> => {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/query`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
};

const call = (url: string, timeoutMs = 20_000) =>
  callApp({endpoint: endpointFor(url, timeoutMs), kind: 'query', caller: nobody, body: {}}).catch(
    (error: unknown) => error as AppCallFailed,
  );

test('an answer that does not come in time is a timeout', async () => {
  const failed = await withServer(
    () => {},
    url => call(url, 50),
  );
  expect(failed).toBeInstanceOf(AppCallFailed);
  expect(failed).toMatchObject({reason: 'timeout'});
});

test('a client error is not tried again, and its answer is shown in part', async () => {
  let calls = 0;
  const failed = await withServer((_, response) => {
    calls++;
    response.statusCode = 404;
    response.end('x'.repeat(2000));
  }, call);
  expect(failed).toMatchObject({reason: 'http', status: 404, bodyPreview: `${'x'.repeat(512)}...`});
  expect(calls).toBe(1);
});

test('server errors and broken connections are tried four times', async () => {
  let calls = 0;
  const failed = await withServer((request, response) => {
    if (calls++ % 2) request.socket.destroy();
    else {
      response.statusCode = 502;
      response.end();
    }
  }, call);
  expect(failed).toMatchObject({reason: 'internal'});
  expect(calls).toBe(4);
});

test('nobody there', async () => {
  expect(await call('http://127.0.0.1:9/query')).toMatchObject({
    reason: 'internal',
    message: expect.stringContaining('cannot be reached') as string,
  });
});

test.each([
  [['https://app.example/api/query'], undefined, 'https://app.example/api/query?schema=zero_0&appID=zero'],
  [['https://app.example/q?a=1#x'], undefined, 'https://app.example/q?a=1&schema=zero_0&appID=zero#x'],
  [
    ['https://app.example/q', 'https://*.preview.example/q'],
    'https://pr-7.preview.example/q?b=2',
    'https://pr-7.preview.example/q?b=2&schema=zero_0&appID=zero',
  ],
  [
    ['https://app.example/:version/q'],
    'https://app.example/v2/q',
    'https://app.example/v2/q?schema=zero_0&appID=zero',
  ],
])('%j, asked for %s, is %s', (configured, wanted, address) => {
  expect(endpointFor(configured).address(wanted)).toBe(address);
});

test.each([
  [['https://app.example/q'], 'https://evil.example/q'],
  [['https://app.example/q'], 'https://app.example/q/../secret'],
  [['https://app.example/q'], 'http://app.example/q'],
  [['https://*.app.example/q'], 'https://evil.example/.app.example/q'],
  [['https://app.example/q'], 'https://app.example@evil.example/q'],
  [['https://app.example/q'], 'not a url'],
  [['https://app.example/q?schema=mine'], undefined],
  [['https://*.app.example/q'], undefined],
])('%j does not allow %s', (configured, wanted) => {
  expect(() => endpointFor(configured).address(wanted)).toThrow(AddressRefused);
});

test('answers of every known shape are read, others are not', () => {
  const id = {id: 1, clientID: 'c'};
  expect(
    readMutateResponse({kind: 'MutateResponse', mutations: [{id, result: {data: 1}}], userID: null, more: 1}),
  ).toMatchObject({userID: null});
  expect(readMutateResponse({mutations: [{id, result: {error: 'app', message: 'no'}}]})).toBeTruthy();
  expect(readMutateResponse({mutations: [{id, result: {}}]})).toBeTruthy();
  expect(readMutateResponse({error: 'http', status: 502, details: 'x', mutationIDs: [id]})).toMatchObject({
    kind: 'PushFailed',
    reason: 'http',
    status: 502,
  });
  expect(
    readMutateResponse({
      kind: 'PushFailed',
      origin: 'server',
      reason: 'database',
      message: 'm',
      mutationIDs: [id],
    }),
  ).toMatchObject({
    reason: 'database',
  });
  for (const wrong of [null, 1, [], {}, {mutations: 1}, {mutations: [{id, result: {error: 'odd'}}]}])
    expect(readMutateResponse(wrong)).toBeNull();
  const ast = {table: 't', orderBy: [['id', 'asc']]};
  expect(readQueryResponse({kind: 'QueryResponse', queries: [{id: 'h', name: 'n', ast}]})).toMatchObject({
    success: {},
  });
  expect(readQueryResponse(['transformed', [{error: 'app', id: 'h', name: 'n'}]])).toMatchObject({
    success: {},
  });
  expect(
    readQueryResponse(['transformFailed', {reason: 'internal', message: 'm', queryIDs: []}]),
  ).toMatchObject({
    failure: {kind: 'TransformFailed'},
  });
  for (const wrong of [
    null,
    {},
    {kind: 'QueryResponse'},
    ['transformed'],
    {kind: 'QueryResponse', queries: [{id: 'h', name: 'n', ast: {}}]},
  ])
    expect(readQueryResponse(wrong)).toBeNull();
});

test('pushes are joined per connection and credential, in order', () => {
  const [a, b] = [{}, {}] as never[];
  const [first, second] = [{kind: 'none'}, {kind: 'none'}] as never[];
  const push = (connection: never, auth: never, id: number) => ({
    connection,
    auth,
    push: {clientGroupID: 'g', mutations: [{id} as never], pushVersion: 1, timestamp: 1, requestID: `r${id}`},
  });
  const joined = joinPushes([
    push(a!, first!, 1),
    push(b!, first!, 10),
    push(a!, first!, 2),
    push(a!, second!, 3),
    push(a!, second!, 4),
  ]);
  expect(joined.map(({push: {mutations, requestID}}) => [requestID, ...mutations.map(({id}) => id)])).toEqual(
    [
      ['r1', 1, 2],
      ['r10', 10],
      ['r3', 3, 4],
    ],
  );
});

import {randomBytes} from 'node:crypto';
import WebSocket from 'ws';
import type {TestDatabase} from './postgres.ts';
import {refusalByStock} from './taken-by-stock.ts';
import {until} from './until.ts';

export interface RawOptions {
  /** `http://127.0.0.1:<port>` */
  readonly server: string;
  readonly clientGroupID?: string;
  readonly clientID?: string;
  readonly userID?: string | null;
  readonly baseCookie?: string | null;
  readonly token?: string;
  /** Body of the handshake's `initConnection`; null leaves it out. */
  readonly init?: Readonly<Record<string, unknown>> | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocol?: number;
  /**
   * Where `confirmed` waits until the mutation can be read, too: PostgreSQL sends a commit a moment before other sessions
   * see it.
   */
  readonly readIn?: TestDatabase;
}

export type Frame = readonly [string, Readonly<Record<string, never>>];

/** The wire as a test wants it: what was received, in order, and how the socket ended. */
export interface RawClient {
  readonly clientGroupID: string;
  readonly clientID: string;
  readonly socket: WebSocket;
  readonly received: readonly Frame[];
  /** null while open. */
  readonly closed: {readonly code: number; readonly reason: Buffer} | null;
  send(message: unknown): void;
  /** Waits for a message of the type that satisfies the test; fails at once when the socket ends without it. */
  next<T = Record<string, unknown>>(type: string, test?: (body: T) => boolean): Promise<T>;
  ended(): Promise<{readonly code: number; readonly reason: Buffer}>;
  /** Sends CRUD operations as mutation `id` of this client, or of another one. */
  crud(id: number, ops: readonly CrudOpInput[], clientID?: string): void;
  /** Waits until a poke has said that the id of the client is reached. */
  confirmed(id: number, clientID?: string): Promise<void>;
  readonly errors: readonly {readonly kind: string; readonly message: string}[];
  [Symbol.dispose](): void;
}

export interface CrudOpInput {
  readonly op: 'insert' | 'upsert' | 'update' | 'delete';
  readonly tableName: string;
  readonly primaryKey?: readonly string[];
  readonly value: Readonly<Record<string, unknown>>;
}

/** A client group's first words when a test cares for nothing but its mutations. */
export const EMPTY_SCHEMA = {tables: {}};

export const connectUrl = (options: RawOptions, clientGroupID: string, clientID: string): string => {
  const url = new URL(`/sync/v${options.protocol ?? 51}/connect`, options.server.replace(/^http/, 'ws'));
  const params = {
    clientGroupID,
    clientID,
    ...(options.userID === null ? {} : {userID: options.userID ?? 'u1'}),
    baseCookie: options.baseCookie ?? '',
    ts: '1.5',
    lmid: '0',
    wsid: randomBytes(4).toString('hex'),
  };
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return url.href;
};

export const protocolHeader = (init: RawOptions['init'], authToken?: string): string =>
  encodeURIComponent(
    Buffer.from(
      JSON.stringify({
        ...(init ? {initConnectionMessage: ['initConnection', init]} : {}),
        ...(authToken === undefined ? {} : {authToken}),
      }),
    ).toString('base64'),
  );

/** As it is upstream; 0 for a client that wrote nothing. */
export const lastMutationID = async (db: TestDatabase, clientID: string): Promise<number> => {
  const {rows} = await db.query(
    `SELECT "lastMutationID" AS id FROM "${db.appID}_0".clients WHERE "clientID" = $1`,
    [clientID],
  );
  return Number(rows[0]?.id ?? 0);
};

/** Opens a connection by hand: no retries, no store, nothing hidden. */
export const rawClient = (options: RawOptions): RawClient => {
  const clientGroupID = options.clientGroupID ?? `g${randomBytes(5).toString('hex')}`;
  const clientID = options.clientID ?? `c${randomBytes(5).toString('hex')}`;
  const init =
    options.init === undefined
      ? {desiredQueriesPatch: [], ...(options.baseCookie ? {} : {clientSchema: EMPTY_SCHEMA})}
      : options.init;
  const socket = new WebSocket(
    connectUrl(options, clientGroupID, clientID),
    protocolHeader(init, options.token),
    {headers: options.headers ?? {}},
  );
  const received: Frame[] = [];
  let closed: RawClient['closed'] = null;
  socket.on('error', () => {});
  socket.on('message', data => {
    const message = JSON.parse(String(data)) as Frame;
    received.push(message);
    // Nobody catches it: the run fails.
    const refusal = (options.protocol ?? 51) === 51 && refusalByStock(message);
    if (refusal) throw new Error(refusal);
  });
  socket.on('close', (code, reason) => {
    closed = {code, reason};
  });
  const opened = new Promise<void>(resolve => socket.once('open', () => resolve()));
  const shown = () => JSON.stringify(received.map(frame => frame.slice(0, 2))).slice(-1500);
  const client: RawClient = {
    clientGroupID,
    clientID,
    socket,
    received,
    get closed() {
      return closed;
    },
    send: message => {
      const text = typeof message === 'string' ? message : JSON.stringify(message);
      void opened.then(() => socket.send(text));
    },
    async next<T>(type: string, test: (body: T) => boolean = () => true): Promise<T> {
      const find = () => received.find(([t, body]) => t === type && test(body as T));
      await until(() => find() !== undefined || closed !== null, `${type} arrives; got ${shown()}`, 30_000);
      const found = find();
      if (!found)
        throw new Error(`closed (${closed?.code} ${closed?.reason}) without ${type}; got ${shown()}`);
      return found[1] as T;
    },
    async ended() {
      await until(() => closed !== null, `the socket ends; got ${shown()}`, 30_000);
      return closed!;
    },
    crud: (id, ops, owner = clientID) => client.send(pushOf(clientGroupID, [crudMutation(owner, id, ops)])),
    confirmed: async (id, owner = clientID) => {
      await client.next<{lastMutationIDChanges?: Record<string, number>}>(
        'pokePart',
        part => (part.lastMutationIDChanges?.[owner] ?? 0) >= id,
      );
      const {readIn} = options;
      if (readIn) await until(async () => (await lastMutationID(readIn, owner)) >= id, 'it can be read');
    },
    get errors() {
      return received.filter(([type]) => type === 'error').map(([, body]) => body as never);
    },
    [Symbol.dispose]() {
      socket.terminate();
    },
  };
  return client;
};

export const crudMutation = (clientID: string, id: number, ops: readonly CrudOpInput[]) => ({
  type: 'crud',
  id,
  clientID,
  name: '_zero_crud',
  timestamp: 1,
  args: [{ops: ops.map(op => ({primaryKey: ['id'], ...op}))}],
});

export const pushOf = (clientGroupID: string, mutations: readonly unknown[]) => [
  'push',
  {clientGroupID, mutations, pushVersion: 1, timestamp: 1, requestID: `r${randomBytes(4).toString('hex')}`},
];

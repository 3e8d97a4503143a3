import {randomBytes} from 'node:crypto';
import WebSocket from 'ws';
import {schema} from '../data/schema.ts';
import {type Keep, type Poke, PokeReader} from './poke-reader.ts';

/** A query of the stock builder, with what the wire wants of it. */
export interface WireQuery {
  readonly hash: string;
  readonly ast: unknown;
}

/** Both are members of every builder's query, though not of its type. */
interface QueryInternals {
  hash(): string;
  readonly ast: unknown;
}

export const wireQuery = (query: object): WireQuery => {
  const internals = query as QueryInternals;
  return {hash: internals.hash(), ast: internals.ast};
};

export interface RawClientOptions {
  /** `http://…` of the server. */
  readonly url: string;
  readonly keep?: Keep;
  readonly clientGroupID?: string;
}

interface Waiter {
  readonly done: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const CLIENT_SCHEMA = {
  tables: Object.fromEntries(
    Object.entries(schema.tables).map(([name, {columns, primaryKey}]) => [
      name,
      {
        columns: Object.fromEntries(
          Object.entries(columns)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([column, {type}]) => [column, {type}]),
        ),
        primaryKey: [...primaryKey].sort(),
      },
    ]),
  ),
};

/**
 * A client of one group that speaks the wire protocol (protocol.md) and nothing more, so that measurements are of the
 * server. Any error of the server or of the socket rejects whatever is awaited.
 */
export class RawClient {
  readonly clientGroupID: string;
  readonly clientID = randomBytes(8).toString('hex');
  readonly reader: PokeReader;
  /** Called after every finished poke. */
  onPoke: ((poke: Poke) => void) | null = null;
  #url: string;
  readonly #waiters = new Set<Waiter>();
  #socket: WebSocket | null = null;
  #failure: Error | null = null;
  #pings: NodeJS.Timeout | null = null;
  #mutationID = 0;

  constructor({url, keep = 'count', clientGroupID = randomBytes(8).toString('hex')}: RawClientOptions) {
    this.#url = url;
    this.clientGroupID = clientGroupID;
    this.reader = new PokeReader(keep);
  }

  /** The next connection goes to another server. */
  moveTo(url: string): void {
    this.#url = url;
  }

  /** Resolves when the server has said `connected`; reconnects with the cookie when there is one. */
  async connect(queries: readonly WireQuery[] = []): Promise<void> {
    const {cookie} = this.reader;
    const params = new URLSearchParams({
      clientID: this.clientID,
      clientGroupID: this.clientGroupID,
      userID: 'bench',
      baseCookie: cookie ?? '',
      ts: String(performance.now()),
      lmid: String(this.#mutationID),
      wsid: randomBytes(6).toString('hex'),
    });
    const init = [
      'initConnection',
      {
        desiredQueriesPatch: queries.map(putOp),
        ...(cookie === null ? {clientSchema: CLIENT_SCHEMA} : {}),
      },
    ];
    const inHeader = encodeProtocol({initConnectionMessage: init});
    const fits = inHeader.length <= 8192;
    this.#failure = null;
    const socket = new WebSocket(
      `${this.#url.replace(/^http/, 'ws')}/sync/v51/connect?${params}`,
      fits ? inHeader : encodeProtocol({}),
      {
        perMessageDeflate: false,
        skipUTF8Validation: true,
        maxPayload: 256 * 1024 * 1024,
      },
    );
    this.#socket = socket;
    let connected = false;
    socket.on('message', (data: Buffer) => {
      const poke = this.reader.read(data);
      if (poke) {
        this.onPoke?.(poke);
        this.#settle();
      } else if (poke === false) {
        const [type, body] = JSON.parse(data.toString('utf8')) as [string, unknown];
        if (type === 'error') this.#fail(new Error(`the server reports ${JSON.stringify(body)}`));
        else if (type === 'connected') {
          connected = true;
          if (!fits) socket.send(JSON.stringify(init));
          this.#settle();
        }
      }
    });
    socket.on('error', error => this.#fail(error));
    socket.on('close', (code, reason) => {
      if (this.#socket === socket)
        this.#fail(new Error(`the socket was closed: ${code} ${reason.toString()}`));
    });
    this.#pings = setInterval(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send('["ping",{}]');
    }, 5000);
    await this.#until(() => connected);
  }

  put(queries: readonly WireQuery[]): void {
    this.#send(['changeDesiredQueries', {desiredQueriesPatch: queries.map(putOp)}]);
  }

  drop(queries: readonly WireQuery[]): void {
    this.#send(['changeDesiredQueries', {desiredQueriesPatch: queries.map(({hash}) => ({op: 'del', hash}))}]);
  }

  /** Resolves when all of the queries are got. */
  got(queries: readonly WireQuery[]): Promise<void> {
    return this.#until(() => queries.every(({hash}) => this.reader.got.has(hash)));
  }

  /** Resolves with the first state after a poke in which the condition holds, at once if it does already. */
  until(condition: () => boolean): Promise<void> {
    return this.#until(condition);
  }

  /** Sends a mutation of one update of an issue, or again the one of that id; returns its id. */
  updateIssue(value: Readonly<Record<string, unknown>>, id = ++this.#mutationID): number {
    const op = {op: 'update', tableName: 'issue', primaryKey: ['id'], value};
    const mutation = {
      type: 'crud',
      timestamp: Date.now(),
      id,
      clientID: this.clientID,
      name: '_zero_crud',
      args: [{ops: [op]}],
    };
    this.#send([
      'push',
      {
        timestamp: Date.now(),
        clientGroupID: this.clientGroupID,
        mutations: [mutation],
        pushVersion: 1,
        requestID: `${this.clientID}-${id}`,
      },
    ]);
    return id;
  }

  get lastMutationID(): number {
    return this.reader.lastMutationIDs.get(this.clientID) ?? 0;
  }

  close(): void {
    if (this.#pings) clearInterval(this.#pings);
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
  }

  #send(message: unknown): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #until(done: () => boolean): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (done()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.add({done, resolve, reject}));
  }

  #settle(): void {
    for (const waiter of this.#waiters)
      if (waiter.done()) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters) waiter.reject(this.#failure);
    this.#waiters.clear();
  }
}

const putOp = ({hash, ast}: WireQuery) => ({op: 'put', hash, ast, ttl: 0});

const encodeProtocol = (value: unknown): string =>
  encodeURIComponent(Buffer.from(JSON.stringify(value)).toString('base64'));

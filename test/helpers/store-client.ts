import {randomBytes} from 'node:crypto';
import WebSocket from 'ws';
import type {Down, DownQueryOp, PokePart} from '../../src/protocol/down.ts';
import type {ErrorBody} from '../../src/protocol/error-body.ts';
import type {ClientSchema, InitConnection, Up} from '../../src/protocol/up.ts';
import {connectUrl, protocolHeader} from './raw-client.ts';
import {refusalByStock} from './taken-by-stock.ts';
import {until} from './until.ts';

export interface StoreClientOptions {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** Tells which columns identify a row. */
  readonly schema: ClientSchema;
  readonly clientID?: string;
  readonly clientGroupID?: string;
  readonly userID?: string | null;
  readonly authToken?: string;
  readonly baseCookie?: string | null;
  /** The first message, in the handshake's header; null: none is sent at all. `clientSchema` is added at a null cookie. */
  readonly init?: Partial<InitConnection> | null;
  readonly protocolVersion?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What a client that was connected before has stored: the next connection of the same group continues from it. */
  readonly store?: ClientStore;
}

/** A client's local store as pokes make it; tabs of one group share theirs in a browser. */
export class ClientStore {
  cookie: string | null = null;
  /** By `table/key JSON`. */
  readonly rows = new Map<string, Readonly<Record<string, unknown>>>();
  readonly got = new Set<string>();
  /** `clientID/hash`. */
  readonly desired = new Set<string>();
  readonly lastMutationIDs: Record<string, number> = {};

  /** What a client of its own holds that starts from here, as tabs do that open one storage. */
  fork(): ClientStore {
    const copy = new ClientStore();
    copy.cookie = this.cookie;
    for (const [id, row] of this.rows) copy.rows.set(id, row);
    for (const hash of this.got) copy.got.add(hash);
    for (const key of this.desired) copy.desired.add(key);
    Object.assign(copy.lastMutationIDs, this.lastMutationIDs);
    return copy;
  }

  /** Rows of a table by key, for comparison. */
  table(name: string): Readonly<Record<string, unknown>>[] {
    return [...this.rows]
      .filter(([id]) => id.startsWith(`${name}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => row);
  }
}

/** Speaks the sync protocol and nothing else: what the stock client hides can be seen, and misbehaviour is possible. */
export class StoreClient {
  readonly clientID: string;
  readonly clientGroupID: string;
  readonly store: ClientStore;
  /** Everything received, in order. */
  readonly messages: Down[] = [];
  /** Pokes applied on this connection. */
  pokes = 0;
  error: ErrorBody | null = null;
  closed: {readonly code: number; readonly reason: string} | null = null;
  /** What the server did against the protocol; a healthy run has none. */
  readonly violations: string[] = [];
  readonly #options: StoreClientOptions;
  readonly #socket: WebSocket;
  #poke: {readonly id: string; readonly base: string | null; readonly parts: PokePart[]} | null = null;

  constructor(options: StoreClientOptions) {
    this.#options = options;
    this.clientID = options.clientID ?? `c${randomBytes(6).toString('hex')}`;
    this.clientGroupID = options.clientGroupID ?? `g${randomBytes(6).toString('hex')}`;
    this.store = options.store ?? new ClientStore();
    if (options.baseCookie !== undefined) this.store.cookie = options.baseCookie;
    const {url, userID = 'u1', protocolVersion = 51, headers = {}} = options;
    const target = {server: url, userID, protocol: protocolVersion, baseCookie: this.store.cookie};
    this.#socket = new WebSocket(connectUrl(target, this.clientGroupID, this.clientID), this.#header(), {
      headers,
    });
    this.#socket.on('message', data => this.#receive(JSON.parse(String(data)) as Down));
    this.#socket.on('close', (code, reason) => (this.closed = {code, reason: String(reason)}));
    this.#socket.on('error', error => this.violations.push(error.message));
  }

  /** Resolves when the first poke was applied. @throws Error if the server refuses the client. */
  static async open(options: StoreClientOptions): Promise<StoreClient> {
    const client = new StoreClient(options);
    await client.until(() => client.pokes > 0, 'the first poke arrives');
    return client;
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(...message: Up): void {
    this.#socket.send(JSON.stringify(message));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Stops reading: the server's buffers fill. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** @throws Error if the connection ends first. */
  async until(condition: () => boolean, what: string): Promise<void> {
    await until(() => {
      if (condition()) return true;
      if (this.closed)
        throw new Error(
          `closed with ${this.closed.code} ${this.closed.reason} ${JSON.stringify(this.error)} before ${what}`,
        );
      return false;
    }, what);
  }

  untilClosed(): Promise<void> {
    return until(() => this.closed !== null, 'the server closes the connection');
  }

  async close(): Promise<void> {
    this.#socket.close(1000);
    await this.untilClosed();
  }

  async [Symbol.asyncDispose]() {
    this.#socket.terminate();
    await this.untilClosed();
  }

  #header(): string {
    const {init, schema, authToken} = this.#options;
    const body: InitConnection = {
      desiredQueriesPatch: [],
      ...(this.store.cookie === null ? {clientSchema: schema} : {}),
      ...init,
    };
    return protocolHeader(init === null ? null : {...body}, authToken);
  }

  #receive(message: Down): void {
    this.messages.push(message);
    const refusal = refusalByStock(message);
    if (refusal) this.violations.push(refusal);
    const [type, body] = message;
    if (type === 'error') this.error = body;
    else if (type === 'pokeStart') {
      if (this.#poke) this.violations.push(`poke ${body.pokeID} starts inside ${this.#poke.id}`);
      this.#poke = {id: body.pokeID, base: body.baseCookie, parts: []};
    } else if (type === 'pokePart') {
      if (this.#poke?.id !== body.pokeID) this.violations.push(`part of ${body.pokeID} outside its poke`);
      this.#poke?.parts.push(body);
    } else if (type === 'pokeEnd') {
      const poke = this.#poke;
      this.#poke = null;
      if (poke?.id !== body.pokeID) this.violations.push(`end of ${body.pokeID} outside its poke`);
      else if (!body.cancel) this.#apply(poke.base, poke.parts, body.cookie);
    }
  }

  #apply(base: string | null, parts: readonly PokePart[], cookie: string): void {
    const {store} = this;
    if (base !== store.cookie) this.violations.push(`poke from ${base} to a client at ${store.cookie}`);
    if (store.cookie !== null && cookie < store.cookie)
      this.violations.push(`cookie goes back from ${store.cookie} to ${cookie}`);
    if (cookie === store.cookie && parts.length) this.violations.push(`patches without a new cookie`);
    for (const part of parts) this.#applyPart(part);
    store.cookie = cookie;
    this.pokes++;
  }

  #applyPart(part: PokePart): void {
    const {store} = this;
    for (const [clientID, id] of Object.entries(part.lastMutationIDChanges ?? {})) {
      if (id < (store.lastMutationIDs[clientID] ?? 0)) this.violations.push(`lmid of ${clientID} goes back`);
      store.lastMutationIDs[clientID] = id;
    }
    for (const [clientID, ops] of Object.entries(part.desiredQueriesPatches ?? {}))
      for (const op of ops) applyTo(store.desired, op, `${clientID}/${op.hash}`);
    for (const op of part.gotQueriesPatch ?? []) applyTo(store.got, op, op.hash);
    for (const op of part.rowsPatch ?? []) {
      const {primaryKey = []} = this.#options.schema.tables[op.tableName] ?? {};
      const row = op.op === 'put' ? op.value : op.id;
      const id = `${op.tableName}/${JSON.stringify(primaryKey.map(column => row[column]))}`;
      if (op.op === 'put') store.rows.set(id, op.value);
      else store.rows.delete(id);
    }
  }
}

const applyTo = (set: Set<string>, {op}: DownQueryOp, key: string): void => {
  if (op === 'put') set.add(key);
  else set.delete(key);
};

import type {PresentRow} from '../ivm/registry.ts';
import {keyTextOfRowId, type RowId, tableOfRowId} from '../ivm/row-id.ts';
import type {DownQueryOp, MutationOp} from '../protocol/down.ts';
import type {JsonValue} from '../zql/ast.ts';

/** Characters of row operations per `pokePart`. */
const PART_CHARS = 1 << 20;

/** Row operations, joined by commas: encoded when they are sent first, once for all who are sent them. */
class EncodedRows {
  readonly chars: number;
  #texts: readonly string[];
  #bytes: Buffer | null = null;

  constructor(texts: readonly string[], chars: number) {
    this.#texts = texts;
    this.chars = chars;
  }

  get bytes(): Buffer {
    if (!this.#bytes) {
      this.#bytes = Buffer.from(this.#texts.join());
      this.#texts = [];
    }
    return this.#bytes;
  }
}

/** One `pokePart` without its poke id: texts around row operations. */
export interface PokePart {
  readonly head: string;
  readonly rows: EncodedRows | null;
  readonly tail: string;
}

/** What one poke says; row operations are JSON text already. */
export class PokeBody {
  // A client may call itself `constructor`.
  readonly lastMutationIDs: Record<string, number> = Object.create(null);
  readonly desired: Record<string, DownQueryOp[]> = Object.create(null);
  readonly got: DownQueryOp[] = [];
  readonly mutations: MutationOp[] = [];
  readonly #clientsTable: string;
  readonly #mutationsTable: string;
  /** Each about a part's worth; shared by all bodies that say the same rows. */
  readonly #chunks: EncodedRows[] = [];
  #rows: string[] = [];
  #rowChars = 0;

  constructor(shard: string) {
    this.#clientsTable = `${shard}.clients`;
    this.#mutationsTable = `${shard}.mutations`;
  }

  /** Rows of the shard's own tables become mutation ids and results (views.md §4). */
  put(row: PresentRow): void {
    if (row.table === this.#clientsTable) {
      const {clientID, lastMutationID} = JSON.parse(row.put) as {clientID: string; lastMutationID: number};
      this.lastMutationIDs[clientID] = lastMutationID;
    } else if (row.table === this.#mutationsTable) {
      const {clientID, mutationID, result} = JSON.parse(row.put) as {
        clientID: string;
        mutationID: number;
        result: JsonValue;
      };
      this.mutations.push({op: 'put', mutation: {id: {clientID, id: mutationID}, result}});
    } else this.#row(`${putOf(row.table)}${row.put}}`);
  }

  delete(id: RowId): void {
    const table = tableOfRowId(id);
    if (table === this.#clientsTable) return;
    if (table === this.#mutationsTable) {
      const {clientID, mutationID} = JSON.parse(keyTextOfRowId(id)) as {clientID: string; mutationID: number};
      this.mutations.push({op: 'del', id: {clientID, id: mutationID}});
    } else this.#row(`{"op":"del","tableName":${JSON.stringify(table)},"id":${keyTextOfRowId(id)}}`);
  }

  desire(clientID: string, ops: readonly DownQueryOp[]): void {
    (this.desired[clientID] ??= []).push(...ops);
  }

  /** Appends another body, later operations winning; its encoded rows are shared. */
  append(other: PokeBody): void {
    Object.assign(this.lastMutationIDs, other.lastMutationIDs);
    for (const [clientID, ops] of Object.entries(other.desired)) this.desire(clientID, ops);
    for (const op of other.got) this.got.push(op);
    for (const mutation of other.mutations) this.mutations.push(mutation);
    this.#seal();
    other.#seal();
    for (const chunk of other.#chunks) this.#chunks.push(chunk);
  }

  parts(): readonly PokePart[] {
    this.#seal();
    let head = '';
    if (Object.keys(this.lastMutationIDs).length)
      head += `,"lastMutationIDChanges":${JSON.stringify(this.lastMutationIDs)}`;
    if (Object.keys(this.desired).length) head += `,"desiredQueriesPatches":${JSON.stringify(this.desired)}`;
    if (this.got.length) head += `,"gotQueriesPatch":${JSON.stringify(this.got)}`;
    const tail = this.mutations.length ? `,"mutationsPatch":${JSON.stringify(this.mutations)}` : '';
    const last = this.#chunks.length - 1;
    if (last < 0) return head || tail ? [{head: `${head}${tail}}]`, rows: null, tail: ''}] : [];
    return this.#chunks.map((rows, i) => ({
      head: `${i === 0 ? head : ''},"rowsPatch":[`,
      rows,
      tail: `]${i === last ? tail : ''}}]`,
    }));
  }

  #row(text: string): void {
    this.#rows.push(text);
    this.#rowChars += text.length;
    if (this.#rowChars >= PART_CHARS) this.#seal();
  }

  #seal(): void {
    if (this.#rows.length === 0) return;
    this.#chunks.push(new EncodedRows(this.#rows, this.#rowChars));
    this.#rows = [];
    this.#rowChars = 0;
  }
}

/** Tables are few: the beginning of a put by table. */
const puts = new Map<string, string>();
const putOf = (table: string): string => {
  let text = puts.get(table);
  if (!text) puts.set(table, (text = `{"op":"put","tableName":${JSON.stringify(table)},"value":`));
  return text;
};

/** The frames of one poke, in order; the last one ends it (protocol.md §3.3–3.5). Made when they are asked for, and once. */
export class PokeFrames {
  /** Of its row operations. */
  readonly chars: number;
  readonly #makers: readonly (() => Buffer)[];
  readonly #made: Buffer[] = [];

  constructor(baseCookie: string | null, cookie: string, parts: readonly PokePart[]) {
    const id = JSON.stringify(cookie);
    this.chars = parts.reduce((sum, {rows}) => sum + (rows?.chars ?? 0), 0);
    this.#makers = [
      () => Buffer.from(`["pokeStart",{"pokeID":${id},"baseCookie":${JSON.stringify(baseCookie)}}]`),
      ...parts.map(({head, rows, tail}) => () => {
        const begin = Buffer.from(`["pokePart",{"pokeID":${id}${head}`);
        return rows ? Buffer.concat([begin, rows.bytes, Buffer.from(tail)]) : begin;
      }),
      () => Buffer.from(`["pokeEnd",{"pokeID":${id},"cookie":${id}}]`),
    ];
  }

  /** The same array at each call. */
  all(): readonly Buffer[] {
    this.#make(this.#makers.length);
    return this.#made;
  }

  /** All but the last, piece by piece: a client takes in the first while the next one is made. */
  *beginning(): Generator<readonly Buffer[]> {
    for (let from = 0, to = 2; to < this.#makers.length; from = to++) {
      this.#make(to);
      yield this.#made.slice(from, to);
    }
  }

  get end(): Buffer {
    return this.all().at(-1)!;
  }

  #make(count: number): void {
    for (let i = this.#made.length; i < count; i++) this.#made.push(this.#makers[i]!());
  }
}

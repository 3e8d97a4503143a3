import type {PresentRow} from '../ivm/registry.ts';
import {keyTextOfRowId, type RowId, tableOfRowId} from '../ivm/row-id.ts';
import type {DownQueryOp, MutationOp} from '../protocol/down.ts';
import type {JsonValue} from '../zql/ast.ts';

/** Characters of row operations per `pokePart`. */
const PART_CHARS = 1 << 20;

/** What one poke says; row operations are JSON text already. */
export class PokeBody {
  readonly lastMutationIDs: Record<string, number> = {};
  readonly desired: Record<string, DownQueryOp[]> = {};
  readonly got: DownQueryOp[] = [];
  readonly mutations: MutationOp[] = [];
  readonly #clientsTable: string;
  readonly #mutationsTable: string;
  /** Row operations joined by commas, each about a part's worth. */
  readonly #chunks: string[] = [];
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
    } else this.#row(`{"op":"put","tableName":${JSON.stringify(row.table)},"value":${row.put}}`);
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

  /** Appends another body, later operations winning; its row texts are shared. */
  append(other: PokeBody): void {
    Object.assign(this.lastMutationIDs, other.lastMutationIDs);
    for (const [clientID, ops] of Object.entries(other.desired)) this.desire(clientID, ops);
    for (const op of other.got) this.got.push(op);
    for (const mutation of other.mutations) this.mutations.push(mutation);
    this.#seal();
    other.#seal();
    for (const chunk of other.#chunks) this.#chunks.push(chunk);
  }

  /** The `pokePart` bodies without their poke id: `,"rowsPatch":[…]}`. */
  parts(): readonly string[] {
    this.#seal();
    let head = '';
    if (Object.keys(this.lastMutationIDs).length)
      head += `,"lastMutationIDChanges":${JSON.stringify(this.lastMutationIDs)}`;
    if (Object.keys(this.desired).length) head += `,"desiredQueriesPatches":${JSON.stringify(this.desired)}`;
    if (this.got.length) head += `,"gotQueriesPatch":${JSON.stringify(this.got)}`;
    const tail = this.mutations.length ? `,"mutationsPatch":${JSON.stringify(this.mutations)}` : '';
    const last = this.#chunks.length - 1;
    if (last < 0) return head || tail ? [`${head}${tail}}`] : [];
    return this.#chunks.map(
      (chunk, i) => `${i === 0 ? head : ''},"rowsPatch":[${chunk}]${i === last ? tail : ''}}`,
    );
  }

  #row(text: string): void {
    this.#rows.push(text);
    this.#rowChars += text.length;
    if (this.#rowChars >= PART_CHARS) this.#seal();
  }

  #seal(): void {
    if (this.#rows.length === 0) return;
    this.#chunks.push(this.#rows.join());
    this.#rows = [];
    this.#rowChars = 0;
  }
}

/** All frames of one poke, in order (protocol.md §3.3–3.5). */
export const pokeFrames = (baseCookie: string | null, cookie: string, parts: readonly string[]): string[] => {
  const id = JSON.stringify(cookie);
  return [
    `["pokeStart",{"pokeID":${id},"baseCookie":${JSON.stringify(baseCookie)}}]`,
    ...parts.map(part => `["pokePart",{"pokeID":${id}${part}]`),
    `["pokeEnd",{"pokeID":${id},"cookie":${id}}]`,
  ];
};

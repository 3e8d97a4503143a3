import type {RowColumns} from '../cvr/types.ts';
import type {PresentRow} from '../ivm/registry.ts';
import {keyTextOfRowId, type RowId, tableOfRowId} from '../ivm/row-id.ts';
import {PokeBody, PokeFrames} from './poke.ts';

/** Net row changes, by what clients must be told of them. */
export interface RowChanges {
  readonly puts: readonly PresentRow[];
  readonly dels: readonly RowId[];
  /** Rows that only gained or lost a query: nobody is told. */
  readonly references: readonly RowId[];
}

/**
 * Row changes at one version with everything that is made of them, made once for all groups that share them: the texts
 * of the poke, its frames, the columns of the view record's write.
 */
export class RowSet {
  readonly columns: RowColumns;
  /** False if clients are told nothing. */
  readonly moves: boolean;
  readonly #changes: RowChanges;
  #body: PokeBody | null = null;
  readonly #frames = new Map<string, PokeFrames>();

  /** @param referencesOf JSON text `{"<query>":1,…}` of a row that is present. */
  constructor(changes: RowChanges, referencesOf: (id: RowId) => string) {
    this.#changes = changes;
    this.moves = changes.puts.length > 0 || changes.dels.length > 0;
    this.columns = columnsOf(changes, referencesOf);
  }

  body(shard: string): PokeBody {
    if (!this.#body) {
      this.#body = new PokeBody(shard);
      for (const row of this.#changes.puts) this.#body.put(row);
      for (const id of this.#changes.dels) this.#body.delete(id);
    }
    return this.#body;
  }

  /** The frames of a poke that says nothing else. */
  frames(shard: string, base: string | null, cookie: string): PokeFrames {
    const key = `${base}\0${cookie}`;
    let frames = this.#frames.get(key);
    if (!frames) {
      frames = new PokeFrames(base, cookie, this.body(shard).parts());
      this.#frames.set(key, frames);
    }
    return frames;
  }
}

const columnsOf = ({puts, dels, references}: RowChanges, referencesOf: (id: RowId) => string): RowColumns => {
  const tables: string[] = [];
  const keys: string[] = [];
  const rowVersions: string[] = [];
  const refCounts: (string | null)[] = [];
  const add = (
    id: RowId,
    rowVersion: string,
    references: string | null,
    table: string = tableOfRowId(id),
  ) => {
    tables.push(table);
    keys.push(keyTextOfRowId(id));
    rowVersions.push(rowVersion);
    refCounts.push(references);
  };
  for (const {id, rowVersion, table} of puts) add(id, rowVersion, referencesOf(id), table);
  for (const id of dels) add(id, '', null);
  for (const id of references) add(id, '', referencesOf(id));
  return {tables, keys, rowVersions, refCounts};
};

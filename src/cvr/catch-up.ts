import type pg from 'pg';
import {type RowId, type RowKey, rowId} from '../ivm/row-id.ts';
import type {DownQueryOp} from '../protocol/down.ts';
import {asGroupFault, rehome} from './fault.ts';
import type {RowJournal} from './journal.ts';
import {cvrStatements} from './statements.ts';
import type {CvrVersion} from './version.ts';
import {formatVersion} from './version.ts';

/** What changed in a group's view after a version (views.md §2.6). Rows by name only: contents are read from the graphs. */
export interface CatchUp {
  readonly rows: readonly RowId[];
  readonly got: readonly DownQueryOp[];
  readonly desired: Readonly<Record<string, readonly DownQueryOp[]>>;
}

/** Reads what clients at an older version miss; deletions are remembered as long as the view record lives. */
export class CatchUpReader {
  readonly #pool: pg.Pool;
  readonly #sql: string;
  readonly #journal: RowJournal;

  constructor(pool: pg.Pool, shard: string, journal: RowJournal) {
    this.#pool = pool;
    this.#sql = cvrStatements(shard).catchUp;
    this.#journal = journal;
  }

  /**
   * @param at the version at which the caller believes the record to be.
   * @throws ProtocolError `Rehome` if another server has changed it.
   */
  async read(clientGroupID: string, from: CvrVersion, at: CvrVersion): Promise<CatchUp> {
    await this.#journal.flush(clientGroupID);
    const {rows} = await this.#pool
      .query<CatchUpRow>({
        name: 'cvr-catch-up',
        text: this.#sql,
        values: [clientGroupID, formatVersion(from)],
      })
      .catch(error => {
        throw asGroupFault(error);
      });
    const found = rows[0];
    if (found?.version !== formatVersion(at)) throw rehome('The view record was changed elsewhere.');
    const desired: Record<string, DownQueryOp[]> = Object.create(null);
    for (const {clientID, hash, deleted} of found.desires ?? [])
      (desired[clientID] ??= []).push(operation(hash, deleted));
    return {
      rows: (found.rows ?? []).map(([table, key]) => rowId(table, key)),
      got: (found.queries ?? []).map(({hash, deleted}) => operation(hash, deleted)),
      desired,
    };
  }
}

interface CatchUpRow {
  readonly version: string;
  readonly rows: readonly [table: string, key: RowKey][] | null;
  readonly queries: readonly {readonly hash: string; readonly deleted: boolean}[] | null;
  readonly desires:
    | readonly {readonly clientID: string; readonly hash: string; readonly deleted: boolean}[]
    | null;
}

const operation = (hash: string, deleted: boolean): DownQueryOp => ({op: deleted ? 'del' : 'put', hash});

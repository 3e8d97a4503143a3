import type pg from 'pg';

/** A client, or a pool where it does not matter which one answers. */
export interface Queryable {
  query<R extends pg.QueryResultRow>(
    query: string | {readonly text: string; readonly name?: string; readonly values?: unknown[]},
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>;
}

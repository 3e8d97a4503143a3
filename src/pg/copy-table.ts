import type pg from 'pg';
import {to as copyTo} from 'pg-copy-streams';
import {StreamUndecodable} from '../errors.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {CopyTextParser} from './copy-text.ts';
import {ident} from './identifier.ts';
import type {PublishedTable} from './published-schema.ts';
import {codecFor} from './types.ts';

/** Rows of one network chunk, converted for SQLite. */
export interface CopiedRows {
  readonly rows: readonly (readonly SqliteValue[])[];
  readonly bytes: number;
}

/** Rows of a table as COPY selects them: published columns, filtered like the stream (replication.md §2.3). */
export const copyQuery = (table: PublishedTable): string => {
  const filters = Object.values(table.publications).map(publication => publication.rowFilter);
  // One publication without a filter publishes every row.
  const where = filters.includes(null) ? '' : ` WHERE ${filters.map(filter => `(${filter})`).join(' OR ')}`;
  const columns = table.columns.map(column => ident(column.name)).join(', ');
  return `SELECT ${columns} FROM ${ident(table.schema)}.${ident(table.name)}${where}`;
};

/**
 * Streams a table over COPY. Pulled: the socket is paused while the consumer works, so memory is bounded by the
 * socket's buffer. Ends the COPY when the consumer stops early.
 */
export async function* copyTable(client: pg.Client, table: PublishedTable): AsyncGenerator<CopiedRows> {
  const decode = table.columns.map(column => codecFor(column).fromText);
  const stream = client.query(copyTo(`COPY (${copyQuery(table)}) TO STDOUT`));
  const parser = new CopyTextParser();
  const width = decode.length;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const rows = parser.parse(chunk).map(fields => {
      const row: SqliteValue[] = new Array(width);
      for (let i = 0; i < width; i++) {
        const field = fields[i];
        row[i] = field === null || field === undefined ? null : decode[i]!(field);
      }
      return row;
    });
    yield {rows, bytes: chunk.length};
  }
  if (!parser.finished)
    throw new StreamUndecodable(`COPY of ${table.schema}.${table.name} ended within a row.`);
}

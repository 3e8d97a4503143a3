import type pg from 'pg';
import {to as copyTo} from 'pg-copy-streams';
import {PipelineBug} from '../errors.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {CopyTextParser} from './copy-text.ts';
import {ident} from './identifier.ts';
import type {PublishedTable} from './published-schema.ts';
import {codecFor} from './types.ts';

/** Rows that arrived together, converted for SQLite: their values one row after the other. */
export interface CopiedRows {
  readonly values: readonly SqliteValue[];
  readonly rows: number;
  readonly bytes: number;
}

/** PostgreSQL sends 8 KiB at a time; working on more at once costs less per row. */
const BLOCK_BYTES = 128 * 1024;

/** Rows of a table as COPY selects them: published columns, filtered like the stream (replication.md §2.3). */
export const copyQuery = (table: PublishedTable): string => {
  const published = Object.values(table.publications);
  if (published.some(rows => rows.filterDigest && rows.rowFilter === null))
    throw new PipelineBug(`The row filter of table ${table.schema}.${table.name} was not read.`);
  const filters = published.map(rows => rows.rowFilter);
  // One publication without a filter publishes every row.
  const where = filters.includes(null) ? '' : ` WHERE ${filters.map(filter => `(${filter})`).join(' OR ')}`;
  const columns = table.columns.map(column => ident(column.name)).join(', ');
  return `SELECT ${columns} FROM ${ident(table.schema)}.${ident(table.name)}${where}`;
};

/**
 * Streams a table over COPY, in blocks of text that may end anywhere. Pulled: the socket is paused while the consumer works, so
 * memory is bounded by the socket's buffer and a block. Ends the COPY when the consumer stops early.
 */
export async function* copyBlocks(client: pg.Client, table: PublishedTable): AsyncGenerator<Buffer> {
  const stream = client.query(copyTo(`COPY (${copyQuery(table)}) TO STDOUT`));
  let chunks: Buffer[] = [];
  let bytes = 0;
  const take = (): Buffer => {
    const block = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes);
    chunks = [];
    bytes = 0;
    return block;
  };
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= BLOCK_BYTES) yield take();
  }
  if (bytes) yield take();
}

/** The same as rows with their values; holds one more that is not complete. */
export async function* copyTable(client: pg.Client, table: PublishedTable): AsyncGenerator<CopiedRows> {
  const parser = new CopyTextParser(table.columns.map(column => codecFor(column).fromText));
  for await (const block of copyBlocks(client, table)) {
    const values: SqliteValue[] = [];
    yield {values, rows: parser.parse(block, values), bytes: block.length};
  }
  parser.finish();
}

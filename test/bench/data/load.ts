import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import pg from 'pg';
import {from as copyFrom} from 'pg-copy-streams';
import {indexes, tables} from './ddl.ts';
import {type Counts, countsAt, type Row, rowOf} from './rows.ts';
import {anyonePermissions} from './schema.ts';

const CHUNK_CHARS = 256 * 1024;

/** Creates the issue tracker in an empty database: tables, rows by COPY, indexes, statistics. Seconds at scale 1. */
export const loadIssueTracker = async (url: string, scale: number): Promise<Counts> => {
  const counts = countsAt(scale);
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(tables);
    for (const table of Object.keys(counts) as (keyof Counts)[]) await copyRows(client, table, counts);
    for (const statement of indexes) await client.query(statement);
    await client.query('VACUUM ANALYZE');
  } finally {
    await client.end();
  }
  return counts;
};

const copyRows = async (client: pg.Client, table: keyof Counts, counts: Counts): Promise<void> => {
  const copy = client.query(copyFrom(`COPY "${table}" FROM STDIN`));
  await pipeline(Readable.from(copyChunks(table, counts)), copy);
};

function* copyChunks(table: keyof Counts, counts: Counts): Generator<Buffer> {
  const row = rowOf[table];
  let chunk = '';
  for (let n = 0; n < counts[table]; n++) {
    chunk += copyLine(row(n, counts));
    if (chunk.length < CHUNK_CHARS) continue;
    yield Buffer.from(chunk);
    chunk = '';
  }
  yield Buffer.from(chunk);
}

/** No field of the data holds a tab, a newline or a backslash, except JSON, which escapes them itself. */
const copyLine = (row: Row): string => {
  let line = '';
  for (const field of row) {
    if (line) line += '\t';
    if (field === null) line += '\\N';
    else if (field === true) line += 't';
    else if (field === false) line += 'f';
    else line += field;
  }
  return `${line}\n`;
};

/** Replaces the deployed permissions; the server must have created the app's schema. */
export const deployPermissions = async (url: string, appID: string): Promise<void> => {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query(`UPDATE "${appID}".permissions SET permissions = $1`, [await anyonePermissions()]);
  } finally {
    await client.end();
  }
};

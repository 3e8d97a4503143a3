import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type pg from 'pg';
import {to as copyTo} from 'pg-copy-streams';
import {PublicationUnfit} from '../errors.ts';
import {checkUpstream} from '../pg/check-upstream.ts';
import {connect} from '../pg/connect.ts';
import {copyQuery} from '../pg/copy-table.ts';
import {CopyTextParser} from '../pg/copy-text.ts';
import {explainRefusal} from '../pg/explain-refusal.ts';
import {ident, literal} from '../pg/identifier.ts';
import {type Lsn, lexi, parseLsn} from '../pg/lsn.ts';
import {liteTableName, type PublishedSchema} from '../pg/published-schema.ts';
import {readPublishedSchema} from '../pg/read-published-schema.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {CASE_FILE, FIXTURE_FORMAT, makeFolder, ROWS_FILE, SCHEMA_FILE, type WalCase} from './fixture.ts';
import {LineWriter} from './lines.ts';

export interface SnapshotOptions {
  readonly url: string;
  readonly publications: readonly string[];
  readonly dir: string;
  readonly about: string;
  readonly partBytes?: number | undefined;
}

export interface RecordedSnapshot {
  /** The session that holds the temporary slot: whoever ends it drops the slot. */
  readonly session: pg.Client;
  readonly slot: string;
  readonly consistentPoint: Lsn;
  readonly rows: number;
}

/**
 * Creates a temporary slot and writes what the published tables hold at its consistent point: `case.json`, `schema.json`
 * and `rows.ndjson`. @throws UpstreamUnreachable, UpstreamUnfit, PublicationUnfit, UnsupportedTable.
 */
export const recordSnapshot = async (options: SnapshotOptions): Promise<RecordedSnapshot> => {
  const {url, publications, dir} = options;
  const reader = await connect(url, {purpose: 'record'});
  let session: pg.Client | null = null;
  try {
    await checkUpstream(reader);
    await checkPublications(reader, publications);
    session = await connect(url, {purpose: 'record-slot', replication: true});
    const slot = `zs_fixture_${randomBytes(6).toString('hex')}`;
    const created = await session
      .query(`CREATE_REPLICATION_SLOT ${ident(slot)} TEMPORARY LOGICAL pgoutput`)
      .catch(async (error: unknown) => {
        throw await explainRefusal(error, 'create a replication slot', reader, {replicates: true});
      });
    const {consistent_point, snapshot_name} = created.rows[0] as Record<string, string>;
    const consistentPoint = parseLsn(consistent_point!);
    await reader.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; SET TRANSACTION SNAPSHOT ${literal(snapshot_name!)}`,
    );
    const schema = await readPublishedSchema(reader, publications);
    makeFolder(dir);
    const {rows: version} = await reader.query<{server_version: string}>('SHOW server_version');
    const facts: WalCase = {
      format: FIXTURE_FORMAT,
      kind: 'wal',
      about: options.about,
      postgres: version[0]!.server_version,
      publications: [...publications].sort(),
      // As in the initial sync: a commit exactly at the consistent point is not in the snapshot.
      replicaVersion: lexi(consistentPoint - 1n),
      ...(options.partBytes === undefined ? {} : {partBytes: options.partBytes}),
    };
    writeFileSync(join(dir, CASE_FILE), `${JSON.stringify(facts, null, 2)}\n`);
    writeFileSync(join(dir, SCHEMA_FILE), `${JSON.stringify(schema, null, 2)}\n`);
    const rows = await writeRows(reader, schema, join(dir, ROWS_FILE));
    return {session, slot, consistentPoint, rows};
  } catch (error) {
    await session?.end().catch(() => {});
    throw error;
  } finally {
    await reader.end().catch(() => {});
  }
};

const checkPublications = async (client: pg.Client, wanted: readonly string[]) => {
  const {rows} = await client.query<{pubname: string}>('SELECT pubname FROM pg_publication ORDER BY 1');
  const known = rows.map(row => row.pubname);
  const missing = wanted.filter(name => !known.includes(name));
  if (missing.length || wanted.length === 0)
    throw new PublicationUnfit(
      `${missing.length ? `There is no publication ${missing.join(', ')} upstream.` : 'Name a publication to record.'} It has: ${known.join(', ') || 'none'}.`,
    );
};

const writeRows = async (reader: pg.Client, schema: PublishedSchema, file: string): Promise<number> => {
  using out = new LineWriter(file);
  let count = 0;
  for (const table of schema.tables) {
    const head = `{"table":${JSON.stringify(liteTableName(table))},"row":`;
    const width = table.columns.length;
    const parser = new CopyTextParser(table.columns.map(() => (text: string) => text));
    const stream = reader.query(copyTo(`COPY (${copyQuery(table)}) TO STDOUT`));
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const values: SqliteValue[] = [];
      const rows = parser.parse(chunk, values);
      for (let row = 0; row < rows; row++)
        out.write(`${head}${JSON.stringify(values.slice(row * width, (row + 1) * width))}}`);
      count += rows;
    }
  }
  return count;
};

import type {Database} from 'better-sqlite3';
import {VERSION_ZERO} from '../pg/lsn.ts';
import {parseDeclaredType, zqlTypeOf} from '../pg/types.ts';
import {HIDDEN_PREFIXES} from './metadata.ts';
import {type ColumnSpec, type TableSpec, VERSION_COLUMN} from './table-spec.ts';

interface ColumnRow {
  table: string;
  name: string;
  declared: string;
  upstreamType: string | null;
  notNull: number | null;
  isEnum: number | null;
  isArray: number | null;
  backfill: string | null;
}

/** The replica's tables as queries see them, from the file alone (replication.md §4.6). Includes tables without a key. */
export const readTableSpecs = (db: Database): Map<string, TableSpec> => {
  const columns = db
    .prepare<[], ColumnRow>(
      `SELECT t.name AS "table", c.name, c.type AS declared, m.upstream_type AS upstreamType, m.is_not_null AS "notNull",
         m.is_enum AS "isEnum", m.is_array AS "isArray", m.backfill
       FROM sqlite_master t JOIN pragma_table_info(t.name) c
       LEFT JOIN "_zero.column_metadata" m ON m.table_name = t.name AND m.column_name = c.name
       WHERE t.type = 'table' ORDER BY t.name, c.cid`,
    )
    .all();
  const indexes = db
    .prepare<[], {table: string; name: string; unique: number; column: string}>(
      `SELECT t.name AS "table", l.name, l."unique", i.name AS "column"
       FROM sqlite_master t JOIN pragma_index_list(t.name) l JOIN pragma_index_info(l.name) i
       WHERE t.type = 'table' ORDER BY t.name, l.name, i.seqno`,
    )
    .all();
  const minVersions = new Map(
    db
      .prepare<[], {schema: string; table: string; version: string}>(
        `SELECT "schema", "table", minRowVersion AS version FROM "_zero.tableMetadata"`,
      )
      .all()
      .map(row => [row.schema === 'public' ? row.table : `${row.schema}.${row.table}`, row.version]),
  );

  const specs = new Map<string, TableSpec>();
  for (const name of new Set(columns.map(row => row.table))) {
    if (HIDDEN_PREFIXES.some(prefix => name.startsWith(prefix))) continue;
    const visible = columns
      .filter(row => row.table === name && row.name !== VERSION_COLUMN && row.backfill === null)
      .map(columnSpec);
    // A table of which nothing is read yet is not there yet.
    if (!visible.length && columns.some(row => row.table === name && row.backfill !== null)) continue;
    const tableIndexes = new Map<string, {name: string; unique: boolean; columns: string[]}>();
    for (const row of indexes.filter(row => row.table === name)) {
      const index = tableIndexes.get(row.name) ?? {name: row.name, unique: row.unique === 1, columns: []};
      index.columns.push(row.column);
      tableIndexes.set(row.name, index);
    }
    const usable = new Set(
      visible.filter(c => c.notNull && c.zqlType !== null && c.zqlType !== 'json').map(c => c.name),
    );
    specs.set(name, {
      name,
      columns: visible,
      keys: [...tableIndexes.values()]
        .filter(index => index.unique && index.columns.every(column => usable.has(column)))
        .map(index => index.columns)
        .sort((a, b) => a.length - b.length || (a.join() < b.join() ? -1 : 1)),
      indexes: [...tableIndexes.values()],
      minRowVersion: minVersions.get(name) ?? VERSION_ZERO,
    });
  }
  return specs;
};

const columnSpec = (row: ColumnRow): ColumnSpec => {
  const declared = parseDeclaredType(row.declared);
  const upstreamType = row.upstreamType ?? declared.upstreamType;
  const isArray = row.isArray === null ? declared.isArray : row.isArray === 1;
  return {
    name: row.name,
    upstreamType,
    zqlType: zqlTypeOf({
      dataType: upstreamType.replaceAll('[]', ''),
      isEnum: row.isEnum === null ? declared.isEnum : row.isEnum === 1,
      isArray,
    }),
    notNull: row.notNull === null ? declared.notNull : row.notNull === 1,
  };
};

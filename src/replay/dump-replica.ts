import type {Database} from 'better-sqlite3';
import {ident} from '../pg/identifier.ts';
import {readTableSpecs} from '../replica/read-schema.ts';
import type {SqliteValue, TableSpec} from '../replica/table-spec.ts';

/**
 * Everything in a replica that a replay must reproduce, as JSON lines in a fixed order: state, then each table by name
 * with its shape and its rows in key order, then the index of changed rows. Clock times are left out. Integers are
 * written without a point and reals with one, so that a changed storage class shows.
 */
export function* dumpReplica(db: Database): Generator<string> {
  const state = db
    .prepare<[], {replicaVersion: string; stateVersion: string; publications: string}>(
      `SELECT replicaVersion, stateVersion, publications FROM "_zero.replicationConfig", "_zero.replicationState"`,
    )
    .get()!;
  yield `{"replica":{"replicaVersion":"${state.replicaVersion}","stateVersion":"${state.stateVersion}","publications":${state.publications}}}`;
  const specs = readTableSpecs(db);
  for (const name of [...specs.keys()].sort()) yield* dumpTable(db, specs.get(name)!);
  const changes = db.prepare<[], [string, number, string, string, string]>(
    'SELECT stateVersion, pos, "table", rowKey, op FROM "_zero.changeLog2" ORDER BY stateVersion, pos, "table"',
  );
  for (const [version, pos, table, rowKey, op] of changes.raw().iterate())
    yield JSON.stringify({changeLog2: `${version}/${pos}`, table, rowKey, op});
}

function* dumpTable(db: Database, spec: TableSpec): Generator<string> {
  const columns = db
    .prepare<[string, string], Record<string, unknown> & {name: string}>(
      `SELECT t.name, t.type AS declared, m.upstream_type AS upstream, m.is_not_null AS "notNull", m.is_enum AS enum,
         m.is_array AS array, m.character_max_length AS "maxLength"
       FROM pragma_table_info(?) t LEFT JOIN "_zero.column_metadata" m ON m.table_name = ? AND m.column_name = t.name
       ORDER BY t.cid`,
    )
    .all(spec.name, spec.name);
  const names = columns.map(column => column.name);
  const key = spec.keys[0] ?? [];
  const order = key.length ? key : names;
  yield JSON.stringify({
    table: spec.name,
    key,
    minRowVersion: spec.minRowVersion,
    columns: Object.fromEntries(columns.map(({name, ...facts}) => [name, facts])),
    indexes: Object.fromEntries(spec.indexes.map(index => [index.name, indexText(db, index)])),
  });
  const head = `{"row":${JSON.stringify(spec.name)},"values":{`;
  const labels = names.map(name => `${JSON.stringify(name)}:`);
  const rows = db
    .prepare(
      `SELECT ${names.map(ident).join(', ')} FROM ${ident(spec.name)} ORDER BY ${order.map(ident).join(', ')}`,
    )
    .safeIntegers()
    .raw();
  for (const row of rows.iterate() as IterableIterator<SqliteValue[]>)
    yield `${head}${row.map((value, i) => labels[i] + valueJson(value)).join()}}}`;
}

const indexText = (db: Database, index: TableSpec['indexes'][number]): string => {
  const columns = db
    .prepare<[string], {name: string; desc: number}>(
      'SELECT name, "desc" FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno',
    )
    .all(index.name);
  return `${index.unique ? 'UNIQUE ' : ''}(${columns.map(({name, desc}) => (desc ? `${name} DESC` : name)).join(', ')})`;
};

const valueJson = (value: SqliteValue): string => {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return realJson(value);
  if (Buffer.isBuffer(value)) return `{"hex":"${value.toString('hex')}"}`;
  return JSON.stringify(value);
};

const realJson = (value: number): string => {
  if (!Number.isFinite(value)) return `{"real":"${value}"}`;
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
};

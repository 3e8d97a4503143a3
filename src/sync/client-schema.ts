import {remembered} from '../flow/remembered.ts';
import {comeBackLater, protocolError} from '../protocol/error-body.ts';
import type {ClientSchema} from '../protocol/up.ts';
import type {TableSpec} from '../replica/table-spec.ts';
import type {PrimaryKeys} from '../zql/plan.ts';

/**
 * @throws ProtocolError `SchemaVersionNotSupported` listing every mismatch (protocol.md §6). Where the app has no table yet
 * no client can be right or wrong: it comes back until there are some.
 */
export const checkClientSchema = (
  schema: ClientSchema,
  tables: ReadonlyMap<string, TableSpec>,
  shard: string,
): void => {
  const problems = problemsIn(tables)(schema)(shard);
  if (problems.length === 0) return;
  if (appTables(tables, shard).length === 0) throw comeBackLater(NO_TABLES, COME_BACK_MS);
  throw protocolError('SchemaVersionNotSupported', problems.join('\n'));
};

const NO_TABLES =
  'No table is replicated (R014): create some, or add them to the publication; they are served at once.';
const COME_BACK_MS = 5000;

/** Most clients have the same schema. */
const problemsIn = remembered((tables: ReadonlyMap<string, TableSpec>) =>
  // A process has one shard.
  remembered((schema: ClientSchema) => {
    let problems: readonly string[] | undefined;
    return (shard: string): readonly string[] =>
      (problems ??= Object.keys(schema.tables)
        .sort()
        .flatMap(name => [...tableProblems(name, schema.tables[name]!, tables, shard)]));
  }),
);

/** The tables of the app: what the server keeps beside them is nothing to tell clients of. */
const appTables = (tables: ReadonlyMap<string, TableSpec>, shard: string): string[] => {
  const app = shard.slice(0, shard.lastIndexOf('_'));
  const own = new Set([`${app}.permissions`, `${shard}.clients`, `${shard}.mutations`]);
  return [...tables.keys()].filter(name => !own.has(name));
};

const quoted = (names: Iterable<string>): string =>
  [...names]
    .sort()
    .map(name => `"${name}"`)
    .join(',');

function* tableProblems(
  name: string,
  table: ClientSchema['tables'][string],
  tables: ReadonlyMap<string, TableSpec>,
  shard: string,
): Generator<string> {
  const spec = tables.get(name);
  if (!spec) {
    yield `The "${name}" table does not exist or is not one of the replicated tables: ${quoted(appTables(tables, shard))}.`;
    return;
  }
  if (spec.keys.length === 0) {
    yield `The "${name}" table is missing a primary key or non-null unique index and thus cannot be synced to the client`;
    return;
  }
  for (const column of Object.keys(table.columns).sort()) {
    const known = spec.columns.find(c => c.name === column);
    const {type} = table.columns[column]!;
    if (!known)
      yield `The "${name}"."${column}" column does not exist or is not one of the replicated columns: ${quoted(spec.columns.map(c => c.name))}.`;
    else if (known.zqlType === null)
      yield `The "${name}"."${column}" column cannot be synced because it is of an unsupported data type "${known.upstreamType}"`;
    else if (known.zqlType !== type)
      yield `The "${name}"."${column}" column's upstream type "${known.zqlType}" does not match the client type "${type}"`;
  }
  const key = table.primaryKey;
  if (key && !spec.keys.some(candidate => sameColumns(candidate, key)))
    yield `The "${name}" table's primaryKey <${[...key].sort().join()}> is not associated with a non-null unique index.`;
}

const sameColumns = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every(name => b.includes(name));

/** Which key identifies rows for clients of this schema. */
export const primaryKeysOf = (schema: ClientSchema | null): PrimaryKeys =>
  schema ? keysOfSchema(schema) : NO_KEYS;

const NO_KEYS: PrimaryKeys = {};

const keysOfSchema = remembered(
  ({tables}: ClientSchema): PrimaryKeys =>
    Object.fromEntries(
      Object.entries(tables).flatMap(([name, {primaryKey}]) => (primaryKey ? [[name, primaryKey]] : [])),
    ),
);

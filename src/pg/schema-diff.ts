import {
  liteTableName,
  type PublishedColumn,
  type PublishedIndex,
  type PublishedSchema,
  type PublishedTable,
} from './published-schema.ts';
import {storageKind} from './types.ts';

/** One step from one published schema to the next (replication.md §4.2); a change-log entry of the same tag. */
export type SchemaChange =
  | {readonly tag: 'drop-index'; readonly index: PublishedIndex}
  | {readonly tag: 'drop-table'; readonly table: PublishedTable}
  | {readonly tag: 'rename-table'; readonly old: PublishedTable; readonly new: PublishedTable}
  /** Identity, key or publications differ. */
  | {readonly tag: 'update-table-metadata'; readonly old: PublishedTable; readonly new: PublishedTable}
  /** `table` is the new one in all changes of columns: it is renamed first. */
  | {readonly tag: 'drop-column'; readonly table: PublishedTable; readonly column: PublishedColumn}
  /** Name, nullability, or a type whose values are stored alike. */
  | {
      readonly tag: 'update-column';
      readonly table: PublishedTable;
      readonly old: PublishedColumn;
      readonly new: PublishedColumn;
    }
  /** `backfill`: what rows hold in it is not known yet. Otherwise all existing rows hold `column.missing`. */
  | {
      readonly tag: 'add-column';
      readonly table: PublishedTable;
      readonly column: PublishedColumn;
      readonly backfill: boolean;
    }
  /** `backfill`: it had rows before the stream began to carry them. */
  | {readonly tag: 'create-table'; readonly table: PublishedTable; readonly backfill: boolean}
  | {readonly tag: 'create-index'; readonly index: PublishedIndex; readonly table: PublishedTable}
  /** Rows changed, came or went without being streamed: a rewrite, another row filter, a partition. All are read again. */
  | {readonly tag: 'refill-table'; readonly table: PublishedTable};

export interface DiffOptions {
  /** Tables (OIDs) created by the transaction at whose place in the stream `next` holds: all their rows follow. */
  readonly created?: ReadonlySet<number>;
  /** Tables (OIDs) of whose rows the stream brings less than it should. */
  readonly lacking?: ReadonlySet<number>;
  /** Tables truncated since `previous` was read, which explains new files. */
  readonly truncated?: ReadonlySet<number>;
}

/**
 * What leads from `previous` to `next`, in the order in which it can be done: tables are matched by OID, columns by number,
 * indexes by name, so that a rename is a rename.
 */
export const diffSchemas = (
  previous: PublishedSchema,
  next: PublishedSchema,
  options: DiffOptions = {},
): SchemaChange[] => {
  const before = new Map(previous.tables.map(table => [table.oid, table]));
  const after = new Map(next.tables.map(table => [table.oid, table]));
  const tables: SchemaChange[] = [];
  const replaced = new Set<string>();
  for (const table of next.tables) {
    const old = before.get(table.oid);
    if (old)
      tables.push(...diffTable(old, table, options, column => replaced.add(`${table.oid}.${column.pos}`)));
  }
  const known = indexShapes(previous, replaced, 'old');
  const wanted = indexShapes(next, replaced, 'new');
  const dropped = [...known].filter(([name, {shape}]) => wanted.get(name)?.shape !== shape);
  const created = [...wanted].filter(([name, {shape}]) => known.get(name)?.shape !== shape);
  return [
    ...dropped.map(([, {index}]): SchemaChange => ({tag: 'drop-index', index})),
    ...previous.tables
      .filter(table => !after.has(table.oid))
      .map((table): SchemaChange => ({tag: 'drop-table', table})),
    ...tables,
    ...next.tables
      .filter(table => !before.has(table.oid))
      .map(
        (table): SchemaChange => ({
          tag: 'create-table',
          table,
          backfill: !options.created?.has(table.oid),
        }),
      ),
    ...created.map(([, {index, table}]): SchemaChange => ({tag: 'create-index', index, table})),
  ];
};

const diffTable = (
  old: PublishedTable,
  table: PublishedTable,
  options: DiffOptions,
  onReplaced: (column: PublishedColumn) => void,
): SchemaChange[] => {
  const changes: SchemaChange[] = [];
  const before = new Map(old.columns.map(column => [column.pos, column]));
  const after = new Map(table.columns.map(column => [column.pos, column]));
  const drops: SchemaChange[] = [];
  const updates: SchemaChange[] = [];
  const adds: SchemaChange[] = [];
  let retyped = false;
  for (const column of old.columns)
    if (!after.has(column.pos)) drops.push({tag: 'drop-column', table, column});
  for (const column of table.columns) {
    const known = before.get(column.pos);
    if (!known) {
      // One that was only not published has values; and with a default and nothing noted as missing, the table was
      // rewritten, or the default came later: only the rows know.
      adds.push({
        tag: 'add-column',
        table,
        column,
        backfill: old.partial || (column.dflt !== null && column.missing === null),
      });
    } else if (storageKind(known) !== storageKind(column)) {
      onReplaced(column);
      drops.push({tag: 'drop-column', table, column: known});
      adds.push({tag: 'add-column', table, column, backfill: true});
    } else if (!sameColumn(known, column)) {
      updates.push({tag: 'update-column', table, old: known, new: column});
      retyped ||= known.dataType !== column.dataType || known.typeOid !== column.typeOid;
    }
  }
  if (liteTableName(old) !== liteTableName(table)) changes.push({tag: 'rename-table', old, new: table});
  if (metadata(old) !== metadata(table)) changes.push({tag: 'update-table-metadata', old, new: table});
  changes.push(...drops, ...updates, ...adds);
  const rewritten =
    storageDiffers(old, table, options.created) &&
    !options.truncated?.has(table.oid) &&
    // A new column with values of its own, or a changed type that could not stay, is why; nothing else changed.
    !adds.some(change => change.tag === 'add-column' && change.backfill);
  const relabelled = table.columns.some(column => relabels(before.get(column.pos), column));
  const lacking = options.lacking?.has(table.oid);
  if (retyped || rewritten || relabelled || lacking || rowFilter(old) !== rowFilter(table))
    changes.push({tag: 'refill-table', table});
  return changes;
};

/** A partition that this transaction created empty brings no rows that are not streamed. */
const storageDiffers = (
  old: PublishedTable,
  table: PublishedTable,
  created?: ReadonlySet<number>,
): boolean => {
  const before = new Set(old.storage);
  const streamed = (file: string) => created?.has(Number(file.split(':')[0])) ?? false;
  return (
    old.storage.some(file => !table.storage.includes(file)) ||
    table.storage.some(file => !before.has(file) && !streamed(file))
  );
};

const relabels = (old: PublishedColumn | undefined, column: PublishedColumn): boolean =>
  Object.entries(column.labels ?? {}).some(([oid, label]) => (old?.labels?.[oid] ?? label) !== label);

const sameColumn = (a: PublishedColumn, b: PublishedColumn): boolean =>
  a.name === b.name &&
  a.notNull === b.notNull &&
  a.dataType === b.dataType &&
  a.typeOid === b.typeOid &&
  a.typmod === b.typmod &&
  a.typeClass === b.typeClass &&
  a.elementClass === b.elementClass;

const metadata = (table: PublishedTable): string =>
  JSON.stringify([
    table.schema,
    table.schemaOid,
    table.replicaIdentity,
    // By number: a rename of a key column is no change of the key.
    table.primaryKey.map(name => table.columns.find(column => column.name === name)?.pos),
    Object.keys(table.publications).sort(),
  ]);

/** Which rows are published; of several publications one without a filter publishes all. */
const rowFilter = (table: PublishedTable): string => {
  const filters = Object.values(table.publications).map(rows => rows.filterDigest ?? rows.rowFilter);
  return filters.includes(null) ? '' : JSON.stringify([...new Set(filters)].sort());
};

/** Indexes by name with what they are made of, columns by number; of a replaced column the old and the new one differ. */
const indexShapes = (
  schema: PublishedSchema,
  replaced: ReadonlySet<string>,
  side: 'old' | 'new',
): Map<string, {index: PublishedIndex; table: PublishedTable; shape: string}> => {
  const shapes = new Map<string, {index: PublishedIndex; table: PublishedTable; shape: string}>();
  for (const index of schema.indexes) {
    const table = schema.tables.find(t => t.schema === index.schema && t.name === index.tableName);
    if (!table) continue;
    const columns = index.columns.map(({name, direction}) => {
      const pos = table.columns.find(column => column.name === name)!.pos;
      return `${replaced.has(`${table.oid}.${pos}`) ? side : ''}${pos} ${direction}`;
    });
    const shape = JSON.stringify([table.oid, index.unique && index.isImmediate, columns]);
    shapes.set(`${index.schema}.${index.name}`, {index, table, shape});
  }
  return shapes;
};

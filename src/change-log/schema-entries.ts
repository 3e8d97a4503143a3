import type {PublishedColumn, PublishedTable} from '../pg/published-schema.ts';
import type {SchemaChange} from '../pg/schema-diff.ts';
import {isArrayType, isEnumType} from '../pg/types.ts';
import type {BackfillStep} from '../replication/backfill-step.ts';
import {valueJson} from '../replication/table-applier.ts';

/** A schema change as other nodes read it (replication.md §6.2); the tag says which fields there are. */
export const schemaChangeJson = (change: SchemaChange): string => {
  const {tag} = change;
  switch (tag) {
    case 'drop-index':
      return JSON.stringify({tag, id: {schema: change.index.schema, name: change.index.name}});
    case 'drop-table':
    case 'refill-table':
      return JSON.stringify({tag, id: tableId(change.table)});
    case 'rename-table':
      return JSON.stringify({tag, old: tableId(change.old), new: tableId(change.new)});
    case 'update-table-metadata':
      return JSON.stringify({
        tag,
        table: tableId(change.new),
        old: tableMetadata(change.old),
        new: tableMetadata(change.new),
      });
    case 'drop-column':
      return JSON.stringify({tag, table: tableId(change.table), column: change.column.name});
    case 'update-column':
      return JSON.stringify({
        tag,
        table: tableId(change.table),
        old: columnSpec(change.old),
        new: columnSpec(change.new),
      });
    case 'add-column':
      return JSON.stringify({
        tag,
        table: tableId(change.table),
        column: columnSpec(change.column),
        tableMetadata: tableMetadata(change.table),
        ...(change.backfill ? {backfill: {attNum: change.column.pos}} : {}),
      });
    case 'create-table':
      return JSON.stringify({
        tag,
        spec: {
          ...tableId(change.table),
          primaryKey: change.table.primaryKey,
          columns: Object.fromEntries(
            change.table.columns.map(column => [column.name, columnSpec(column).spec]),
          ),
        },
        metadata: tableMetadata(change.table),
        ...(change.backfill
          ? {backfill: Object.fromEntries(change.table.columns.map(c => [c.name, {attNum: c.pos}]))}
          : {}),
      });
    case 'create-index':
      return JSON.stringify({tag, spec: change.index});
  }
};

/** Rows read beside the stream; the end makes what was hidden visible. */
export const backfillJson = (step: BackfillStep): string[] => {
  const head = `"oid":${step.oid},"watermark":"${step.asOf}"`;
  if (step.refused) return [];
  if (step.tag === 'begin') return [`{"tag":"backfill-begin",${head}}`];
  if (step.tag === 'end') return [`{"tag":"backfill-completed",${head}}`];
  const rows = step.rows.map(row => `[${row.map(valueJson).join()}]`).join();
  return [`{"tag":"backfill",${head},"columns":${JSON.stringify(step.columns)},"rowValues":[${rows}]}`];
};

const tableId = ({schema, name}: PublishedTable) => ({schema, name});

const tableMetadata = (table: PublishedTable) => ({
  schemaOID: table.schemaOid,
  relationOID: table.oid,
  rowKey: Object.fromEntries(
    table.primaryKey.map(name => [name, {attNum: table.columns.find(c => c.name === name)?.pos}]),
  ),
});

const columnSpec = (column: PublishedColumn) => ({
  name: column.name,
  spec: {
    pos: column.pos,
    dataType: column.dataType,
    typeOID: column.typeOid,
    notNull: column.notNull,
    isEnum: isEnumType(column),
    isArray: isArrayType(column),
    dflt: column.dflt,
    missing: column.missing,
  },
});

import type {PublishedColumn, PublishedTable} from '../pg/published-schema.ts';
import {codecFor, storageKind} from '../pg/types.ts';
import type {Relation} from '../pgoutput/messages.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {type SchemaTracker, sameColumns} from './schema-tracker.ts';

/** How a relation's tuples fit the table that mirrors it now. */
export interface RelationMap<T = string> {
  readonly table: PublishedTable;
  /** Per column of the relation: what it is called now and how it is read; null if it is no longer there. */
  readonly columns: readonly ({
    readonly name: string;
    readonly read: (value: T) => SqliteValue;
  } | null)[];
  /** True if columns could only be matched by name: what the stream says of the table is not enough. */
  readonly uncertain: boolean;
}

/**
 * Matches a relation message to the mirrored table. The stream may lag behind a schema that was read from the catalog:
 * then the message describes an earlier shape, whose columns are followed by their numbers. null: the table is not
 * mirrored (any more).
 */
export const mapRelation = (relation: Relation, tracker: SchemaTracker): RelationMap | null => {
  const table = tracker.table(relation.oid);
  if (!table) return null;
  const now = new Map(table.columns.map(column => [column.pos, column]));
  const shape = [table, ...tracker.shapes(relation.oid)].find(candidate => sameColumns(relation, candidate));
  if (shape)
    return {
      table,
      uncertain: false,
      columns: shape.columns.map(then => {
        const column = now.get(then.pos);
        return column && storageKind(column) === storageKind(then) ? mapped(then, column) : null;
      }),
    };
  return {
    table,
    uncertain: true,
    columns: relation.columns.map(({name, typeOid}) => {
      const column = table.columns.find(c => c.name === name && c.typeOid === typeOid);
      return column ? mapped(column, column) : null;
    }),
  };
};

const mapped = (then: PublishedColumn, now: PublishedColumn) => ({
  name: now.name,
  read: codecFor(then).fromText,
});

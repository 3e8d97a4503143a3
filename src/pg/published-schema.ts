/** The published part of an upstream database, as read in one snapshot (replication.md §1.6). */
export interface PublishedSchema {
  readonly tables: readonly PublishedTable[];
  readonly indexes: readonly PublishedIndex[];
}

export interface PublishedTable {
  readonly oid: number;
  readonly schemaOid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relreplident`: d default · n nothing · f full · i index. */
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  /** Published columns in attnum order. */
  readonly columns: readonly PublishedColumn[];
  /** In key order; empty if the table has none. */
  readonly primaryKey: readonly string[];
  /** Publications that contain the table, with their row filter as SQL, or null. */
  readonly publications: Readonly<Record<string, {readonly rowFilter: string | null}>>;
}

export interface PublishedColumn {
  readonly name: string;
  /** attnum: the identity of a column across renames. */
  readonly pos: number;
  readonly typeOid: number;
  readonly typmod: number;
  /** `typname`; arrays as element name + `[]` per dimension. */
  readonly dataType: string;
  /** `pg_type.typtype` of the type: b base · e enum · d domain · c composite · r range … */
  readonly typeClass: string;
  /** `typtype` of the element type if this is an array, else null. */
  readonly elementClass: string | null;
  readonly notNull: boolean;
  /** `pg_get_expr` of the default, or null. */
  readonly dflt: string | null;
}

export interface PublishedIndex {
  readonly schema: string;
  readonly tableName: string;
  readonly name: string;
  readonly unique: boolean;
  readonly isPrimaryKey: boolean;
  readonly isReplicaIdentity: boolean;
  readonly isImmediate: boolean;
  readonly columns: readonly {readonly name: string; readonly direction: 'ASC' | 'DESC'}[];
}

/** SQLite's and the wire's name of an upstream table: bare in `public`, else `schema.table`. */
export const liteTableName = (table: {readonly schema: string; readonly name: string}): string =>
  table.schema === 'public' ? table.name : `${table.schema}.${table.name}`;

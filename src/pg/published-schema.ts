/** The published part of an upstream database, as read in one snapshot (replication.md §1.6). */
export interface PublishedSchema {
  /** Tables that are replicated. */
  readonly tables: readonly PublishedTable[];
  /** Indexes of these tables whose columns are all published. */
  readonly indexes: readonly PublishedIndex[];
  /** Published tables that are not replicated, with the reason and what to do about it. */
  readonly leftOut: readonly LeftOutTable[];
}

export interface LeftOutTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly reason: string;
}

export interface PublishedTable {
  readonly oid: number;
  readonly schemaOid: number;
  readonly schema: string;
  readonly name: string;
  /** `pg_class.relreplident`: d default · n nothing · f full · i index. */
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  /**
   * Which files hold the rows: `relation:file` of the table or of each of its leaf partitions, sorted. Differs after a
   * rewrite (ALTER TYPE, TRUNCATE, VACUUM FULL) and after attaching or detaching a partition, none of which are streamed.
   */
  readonly storage: readonly string[];
  /** True if it has columns that are not published: one that is published later is not a new one, and has values. */
  readonly partial: boolean;
  /** Published columns in attnum order. */
  readonly columns: readonly PublishedColumn[];
  /** In key order; empty if the table has none, or if not all of it is published. */
  readonly primaryKey: readonly string[];
  /** Publications that contain the table, each with its row filter. */
  readonly publications: Readonly<Record<string, PublishedRows>>;
}

/** Which rows a publication has of a table. */
export interface PublishedRows {
  /** SQL condition; null if there is none, or if it was not asked for. */
  readonly rowFilter: string | null;
  /** Differs when the condition does; null if there is none. Absent in recordings of earlier releases. */
  readonly filterDigest?: string | null;
}

export interface PublishedColumn {
  readonly name: string;
  /** attnum: the identity of a column across renames. */
  readonly pos: number;
  /** As relation messages name it: of a domain, the domain's own. */
  readonly typeOid: number;
  readonly typmod: number;
  /** `typname`, of a domain that of its base type; arrays as element name + `[]` per dimension. */
  readonly dataType: string;
  /** `pg_type.typtype` of the type below any domains: b base · e enum · c composite · r range … */
  readonly typeClass: string;
  /** `typtype` of the element type if this is an array, else null. */
  readonly elementClass: string | null;
  /** Of an enum (or of an array's): label by the value's OID. A label that is renamed changes rows without any change of them. */
  readonly labels: Readonly<Record<string, string>> | null;
  readonly notNull: boolean;
  /** Digest of the default's expression, or null. */
  readonly dflt: string | null;
  /**
   * Text of the value that rows older than the column have (`pg_attribute.attmissingval`); null if that is NULL, or
   * if the table was rewritten since.
   */
  readonly missing: string | null;
}

export interface PublishedIndex {
  readonly schema: string;
  readonly tableName: string;
  readonly name: string;
  readonly unique: boolean;
  readonly isPrimaryKey: boolean;
  readonly isReplicaIdentity: boolean;
  /** False: DEFERRABLE, so rows may break it in the middle of a transaction. */
  readonly isImmediate: boolean;
  readonly columns: readonly {readonly name: string; readonly direction: 'ASC' | 'DESC'}[];
}

/** SQLite's and the wire's name of an upstream table: bare in `public`, else `schema.table`. */
export const liteTableName = (table: {readonly schema: string; readonly name: string}): string =>
  table.schema === 'public' ? table.name : `${table.schema}.${table.name}`;

/** `"schema"."table"` for messages. */
export const quotedName = (table: {readonly schema: string; readonly name: string}): string =>
  `"${table.schema}"."${table.name}"`;

/** Unique keys over NOT NULL columns, fewest columns first, then by name: what may identify a row (replication.md §4.6). */
export const rowKeys = (schema: PublishedSchema, table: PublishedTable): (readonly string[])[] => {
  const notNull = new Set(table.columns.filter(column => column.notNull).map(column => column.name));
  return schema.indexes
    .filter(
      index =>
        index.unique &&
        index.isImmediate &&
        index.schema === table.schema &&
        index.tableName === table.name &&
        index.columns.every(column => notNull.has(column.name)),
    )
    .map(index => index.columns.map(column => column.name))
    .sort((a, b) => a.length - b.length || (a.join() < b.join() ? -1 : 1));
};

/**
 * The columns by which changes of a table address its rows, sorted by name; empty if nothing identifies a row. PostgreSQL
 * sends the primary key or the identity index; with identity FULL or NOTHING the shortest key serves.
 */
export const identityKey = (schema: PublishedSchema, table: PublishedTable): readonly string[] => {
  const identity =
    table.replicaIdentity === 'd'
      ? table.primaryKey
      : table.replicaIdentity === 'i'
        ? (schema.indexes
            .find(
              index =>
                index.isReplicaIdentity && index.schema === table.schema && index.tableName === table.name,
            )
            ?.columns.map(column => column.name) ?? [])
        : [];
  return [...(identity.length ? identity : (rowKeys(schema, table)[0] ?? []))].sort();
};

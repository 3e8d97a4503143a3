import {
  identityKey,
  liteTableName,
  type PublishedSchema,
  type PublishedTable,
  quotedName,
  rowKeys,
} from './published-schema.ts';
import {codecFor} from './types.ts';

/**
 * What clients will miss of a published schema, one sentence each, with what to do about it. The texts are stable, so
 * that comparing two lists shows what is new.
 */
export const schemaLimits = (schema: PublishedSchema): string[] => {
  const limits = schema.leftOut.map(table => `table ${quotedName(table)} is not replicated: ${table.reason}`);
  if (schema.tables.every(isInternal))
    limits.unshift(
      limits.length
        ? 'no table is replicated, so there is nothing that clients could query. What would help is said of each that is published; they are served as soon as they can be'
        : 'no table is published, so there is nothing that clients could query. Create tables in the schema public, or, where ZERO_APP_PUBLICATIONS is set, add some: ALTER PUBLICATION … ADD TABLE …; they are served at once',
    );
  for (const table of schema.tables) {
    const name = liteTableName(table);
    for (const column of table.columns)
      if (codecFor(column).zqlType === null)
        limits.push(
          `column ${name}.${column.name} has type ${column.dataType}, which clients cannot sync; it is left out of queries`,
        );
    if (!rowKeys(schema, table).length)
      limits.push(
        `table ${name} has neither a primary key nor a unique index on NOT NULL columns; it is not synced to clients. Add one: ALTER TABLE ${quotedName(table)} ADD PRIMARY KEY (…)`,
      );
    if (table.replicaIdentity === 'n')
      limits.push(
        `table ${name} has REPLICA IDENTITY NOTHING, so PostgreSQL refuses to update or delete its rows. Run: ALTER TABLE ${quotedName(table)} REPLICA IDENTITY DEFAULT`,
      );
    else if (table.replicaIdentity !== 'f' && !identityKey(schema, table).length)
      limits.push(
        `table ${name} has no replica identity, so PostgreSQL refuses to update or delete its rows. Add a primary key, or run: ALTER TABLE ${quotedName(table)} REPLICA IDENTITY FULL`,
      );
  }
  return limits;
};

/** The server's own, which its metadata publication holds. Publications of the app do not begin with an underscore. */
const isInternal = ({publications}: PublishedTable): boolean =>
  Object.keys(publications).every(name => /^_.*_metadata_\d+$/.test(name));

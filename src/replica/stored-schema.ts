import type {Database} from 'better-sqlite3';
import {ReplicaUnusable} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import type {PublishedSchema} from '../pg/published-schema.ts';

/**
 * The published schema that the replica mirrors, kept whole in a table of ours: what the next one is compared with. Tables,
 * columns and indexes of the file follow from it.
 */
export const storeSchema = (db: Database, schema: PublishedSchema): void => {
  db.exec(
    `CREATE TABLE IF NOT EXISTS "_zero.publishedSchema" (
       current TEXT NOT NULL, lock INTEGER PRIMARY KEY DEFAULT 1 CHECK (lock = 1))`,
  );
  db.prepare(
    `INSERT INTO "_zero.publishedSchema" (lock, current) VALUES (1, ?) ON CONFLICT DO UPDATE SET current = excluded.current`,
  ).run(JSON.stringify(schema));
};

/** @throws ReplicaUnusable if the file holds none: it was made by a server that did not follow schema changes. */
export const loadSchema = (db: Database): PublishedSchema => {
  try {
    const text = db.prepare('SELECT current FROM "_zero.publishedSchema"').pluck().get() as string;
    const schema = JSON.parse(text) as Omit<PublishedSchema, 'leftOut'> & Partial<PublishedSchema>;
    // Recordings of earlier releases do not say what they left out.
    return {...schema, leftOut: schema.leftOut ?? []};
  } catch (error) {
    throw new ReplicaUnusable('The replica file does not say which upstream schema it mirrors.', {
      cause: error,
    });
  }
};

/** Notes that at `version` a table changed its shape as other nodes see it, in the caller's transaction. */
export const noteShape = (db: Database, version: Version): void => {
  db.exec(
    `CREATE TABLE IF NOT EXISTS "_zero.shapeVersion" (
       version TEXT NOT NULL, lock INTEGER PRIMARY KEY DEFAULT 1 CHECK (lock = 1))`,
  );
  db.prepare(
    `INSERT INTO "_zero.shapeVersion" (lock, version) VALUES (1, ?) ON CONFLICT DO UPDATE SET version = excluded.version`,
  ).run(version);
};

/** When that was last; null if never since the sync. */
export const shapeVersion = (db: Database): Version | null => {
  const known = db.prepare(`SELECT 1 FROM sqlite_master WHERE name = '_zero.shapeVersion'`).get();
  if (!known) return null;
  return (
    (db.prepare('SELECT version FROM "_zero.shapeVersion"').pluck().get() as Version | undefined) ?? null
  );
};

import {existsSync} from 'node:fs';
import type {PublishedTable} from '../../src/pg/published-schema.ts';
import {codecFor} from '../../src/pg/types.ts';
import {createIndex, createTable} from '../../src/replica/create-table.ts';
import {createMetadataTables, initReplicaState} from '../../src/replica/metadata.ts';
import {openWriter} from '../../src/replica/open.ts';
import {RowWriter} from '../../src/replica/write-rows.ts';
import {indexes, tables} from './data/ddl.ts';
import {type Counts, countsAt, rowOf} from './data/rows.ts';

/** The issue tracker as a replica file, without a PostgreSQL: for benches of the query engine alone. */
export const buildReplica = (file: string, scale: number): Counts => {
  const counts = countsAt(scale);
  if (existsSync(file)) return counts;
  const db = openWriter(file);
  db.pragma('synchronous = OFF');
  createMetadataTables(db);
  initReplicaState(db, '110', ['bench']);
  for (const [, quoted, body] of tables.matchAll(/CREATE TABLE ("?\w+"?) \(([^;]*)\);/g)) {
    const name = quoted!.replaceAll('"', '') as keyof Counts;
    const table = published(name, body!);
    createTable(db, table, '110');
    const codecs = table.columns.map(column => codecFor(column).fromText);
    const writer = new RowWriter(
      db,
      name,
      table.columns.map(column => column.name),
    );
    db.exec('BEGIN');
    for (let n = 0; n < counts[name]; n++)
      writer.write(
        rowOf[name](n, counts).map((field, i) =>
          field === null ? null : codecs[i]!(String(field).replace(/(\d)T(\d\d:.*)Z$/, '$1 $2+00')),
        ),
      );
    writer.finish();
    db.exec('COMMIT');
    index(db, name, `${name}_pkey`, table.primaryKey, true);
  }
  for (const statement of indexes) {
    const [, table, columns] = /ON (\w+) \((.*)\)/.exec(statement)!;
    index(db, table!, `${table}_${columns!.replaceAll(', ', '_')}_idx`, columns!.split(', '), false);
  }
  db.exec('ANALYZE');
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  return counts;
};

const index = (
  db: ReturnType<typeof openWriter>,
  tableName: string,
  name: string,
  columns: readonly string[],
  unique: boolean,
) =>
  createIndex(db, {
    schema: 'public',
    tableName,
    name,
    unique,
    isPrimaryKey: unique,
    isReplicaIdentity: false,
    isImmediate: true,
    columns: columns.map(column => ({name: column, direction: 'ASC'})),
  });

const published = (name: string, body: string): PublishedTable => {
  const columns: PublishedTable['columns'][number][] = [];
  let primaryKey: string[] = [];
  for (const part of body.split(/,(?![^(]*\))/)) {
    const [first, type] = part.trim().split(/\s+/);
    if (first === 'PRIMARY') {
      primaryKey = /\((.*)\)/.exec(part)![1]!.split(', ');
      continue;
    }
    if (part.includes('PRIMARY KEY')) primaryKey = [first!];
    columns.push({
      name: first!,
      pos: columns.length + 1,
      typeOid: 0,
      typmod: -1,
      dataType: type === 'int' ? 'int4' : type!,
      typeClass: 'b',
      elementClass: null,
      labels: null,
      notNull: /NOT NULL|PRIMARY KEY/.test(part),
      dflt: null,
      missing: null,
    });
  }
  return {
    oid: 1,
    schemaOid: 1,
    schema: 'public',
    name,
    replicaIdentity: 'd',
    storage: [],
    partial: false,
    columns: columns.map(column => ({
      ...column,
      notNull: column.notNull || primaryKey.includes(column.name),
    })),
    primaryKey,
    publications: {bench: {rowFilter: null}},
  };
};

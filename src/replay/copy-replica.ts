import type {Database} from 'better-sqlite3';
import {z} from 'zod';
import {FixtureUnusable} from '../errors.ts';
import {ident} from '../pg/identifier.ts';
import type {SqliteValue} from '../replica/table-spec.ts';
import {loaded, openForLoading} from './build-replica.ts';

/** A line of `replica.ndjson`. */
export type ReplicaLine = z.infer<typeof replicaLine>;

export const copiedValue = z.union([
  z.null(),
  z.number(),
  z.string(),
  z.object({int: z.string()}),
  z.object({real: z.string()}),
  z.object({hex: z.string()}),
]);

export type CopiedValue = z.infer<typeof copiedValue>;

const replicaLine = z.union([
  z.object({sql: z.string()}),
  z.object({into: z.string(), values: z.array(copiedValue)}),
]);

/** @throws ZodError if it is something else. */
export const parseReplicaLine = (line: unknown): ReplicaLine => replicaLine.parse(line);

/**
 * A whole replica as lines: its own tables before those it replicates, each with its rows, then all indexes. Statistics
 * are left out: they quote values, and are made anew.
 */
export function* copyReplica(db: Database): Generator<string> {
  const entries = db
    .prepare<[], {type: string; name: string; sql: string}>(
      `SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
       ORDER BY type = 'table' DESC, name NOT LIKE '\\_zero.%' ESCAPE '\\', name`,
    )
    .all();
  for (const {type, name, sql} of entries) {
    yield JSON.stringify({sql});
    if (type !== 'table') continue;
    const head = `{"into":${JSON.stringify(name)},"values":[`;
    const rows = db
      .prepare(`SELECT * FROM ${ident(name)} ORDER BY rowid`)
      .safeIntegers()
      .raw();
    for (const row of rows.iterate() as IterableIterator<SqliteValue[]>)
      yield `${head}${row.map(copied).join()}]}`;
  }
}

/** A value as JSON text that `restored` takes back unchanged. */
export const copied = (value: SqliteValue): string => {
  if (typeof value === 'bigint')
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
      ? String(value)
      : `{"int":"${value}"}`;
  if (typeof value === 'number')
    // Beside these, a real without a fraction would come back as an integer.
    return Number.isInteger(value) || !Number.isFinite(value)
      ? `{"real":"${realText(value)}"}`
      : String(value);
  return Buffer.isBuffer(value) ? `{"hex":"${value.toString('hex')}"}` : JSON.stringify(value);
};

const realText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** Builds the replica again. @throws FixtureUnusable if the lines make no database. */
export const restoreReplica = async (file: string, lines: AsyncIterable<ReplicaLine>): Promise<Database> => {
  const db = openForLoading(file);
  try {
    db.exec('BEGIN');
    let table = '';
    let insert = null;
    for await (const line of lines)
      if ('sql' in line) db.exec(line.sql);
      else {
        if (!insert || table !== line.into) {
          table = line.into;
          insert = db.prepare(`INSERT INTO ${ident(table)} VALUES (${line.values.map(() => '?').join()})`);
        }
        insert.run(line.values.map(restored));
      }
    loaded(db);
    return db;
  } catch (error) {
    db.close();
    const {code = '', message} = error as {code?: string; message: string};
    if (code.startsWith('SQLITE_') || error instanceof RangeError)
      throw new FixtureUnusable(`The recorded replica cannot be built again (${message}).`, {cause: error});
    throw error;
  }
};

export const restored = (value: CopiedValue): SqliteValue => {
  if (value === null || typeof value === 'string') return value;
  // A number that is bound as such becomes a real beyond 32 bits.
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if ('int' in value) return BigInt(value.int);
  return 'hex' in value ? Buffer.from(value.hex, 'hex') : Number(value.real);
};

import {accessSync, constants, mkdirSync, readdirSync, readFileSync, statSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import * as z from 'zod';
import {FixtureUnusable} from '../errors.ts';
import type {PublishedSchema} from '../pg/published-schema.ts';

/** Version of the layout that `fixtures/README.md` describes. Raised when older files would be read wrongly. */
export const FIXTURE_FORMAT = 1;

export const CASE_FILE = 'case.json';
export const SCHEMA_FILE = 'schema.json';
export const ROWS_FILE = 'rows.ndjson';
export const WAL_FILE = 'wal.ndjson';
export const REPLICA_FILE = 'replica.ndjson';
export const ASIDES_FILE = 'asides.ndjson';

const head = {format: z.literal(FIXTURE_FORMAT), about: z.string()};

const walCase = z.object({
  ...head,
  kind: z.literal('wal'),
  /** `server_version` of the recorded PostgreSQL, where that was asked. */
  postgres: z.string().optional(),
  /** What the frames follow upon: rows of PostgreSQL (the default), or the replica of a running server. */
  snapshot: z.enum(['upstream', 'replica']).optional(),
  publications: z.array(z.string()),
  /** Version that the initial sync gave to the replica. */
  replicaVersion: z.string(),
  /** Bytes of one transaction held before it goes on in parts; the server's own limit if absent. */
  partBytes: z.number().int().positive().optional(),
  /** True if values were replaced while recording. */
  redacted: z.boolean().optional(),
});

const queryCase = z.object({...head, kind: z.literal('queries')});

const anyCase = z.discriminatedUnion('kind', [walCase, queryCase]);

export type WalCase = z.infer<typeof walCase>;
export type QueryCase = z.infer<typeof queryCase>;

/** A fixture folder with its parsed `case.json`. */
export interface Fixture<Case = WalCase | QueryCase> {
  readonly dir: string;
  /** Kind and folder name: what reports call it. */
  readonly name: string;
  readonly case: Case;
}

/** @throws FixtureUnusable if there is none, or it has another format. */
export const readFixture = (dir: string): Fixture => {
  const raw = readJson(join(dir, CASE_FILE));
  const format = (raw as {format?: unknown} | null)?.format;
  if (typeof format === 'number' && format !== FIXTURE_FORMAT)
    throw new FixtureUnusable(
      `${join(dir, CASE_FILE)} has format ${format}; this release replays format ${FIXTURE_FORMAT}.`,
    );
  const parsed = anyCase.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new FixtureUnusable(`${join(dir, CASE_FILE)}: ${issue?.path.join('.')}: ${issue?.message}.`);
  }
  return {dir, name: `${basename(dirname(dir))}/${basename(dir)}`, case: parsed.data};
};

/** Folders with a `case.json` at or below the given paths, sorted. @throws FixtureUnusable if a path has none. */
export const findFixtures = (paths: readonly string[]): string[] => {
  const found = new Set<string>();
  for (const path of paths) {
    const stats = statSync(path, {throwIfNoEntry: false});
    if (!stats) throw new FixtureUnusable(`There is no ${path}.`);
    const root = stats.isDirectory() ? path : dirname(path);
    const cases = readdirSync(root, {recursive: true, encoding: 'utf8'})
      .filter(name => basename(name) === CASE_FILE)
      .map(name => dirname(join(root, name)));
    if (cases.length === 0)
      throw new FixtureUnusable(`No fixture (a folder with ${CASE_FILE}) is in ${path}.`);
    for (const dir of cases) found.add(dir);
  }
  return [...found].sort();
};

/** For a new fixture, where there is none yet. @throws FixtureUnusable if it cannot be written. */
export const makeFolder = (dir: string): void => {
  try {
    mkdirSync(dir, {recursive: true});
    accessSync(dir, constants.W_OK);
  } catch (cause) {
    const {code} = cause as NodeJS.ErrnoException;
    throw new FixtureUnusable(`The folder ${dir} cannot be written (${code}); choose another.`, {cause});
  }
};

export const readJson = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const missing = (error as {code?: string}).code === 'ENOENT';
    throw new FixtureUnusable(missing ? `${file} is missing.` : `${file} is not JSON; the file is damaged.`, {
      cause: error,
    });
  }
};

/** The published schema as the initial sync read it. @throws FixtureUnusable. */
export const readSchema = (dir: string): PublishedSchema => {
  const file = join(dir, SCHEMA_FILE);
  const schema = readJson(file);
  if (!isPublishedSchema(schema)) throw new FixtureUnusable(`${file} is no published schema.`);
  return schema;
};

/** Looks at what building a replica needs; the rest belongs to the reader of the catalog that wrote it. */
const isPublishedSchema = (value: unknown): value is PublishedSchema => parts.safeParse(value).success;

const parts = z.object({
  tables: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      columns: z.array(z.object({name: z.string(), dataType: z.string(), typeClass: z.string()})),
      primaryKey: z.array(z.string()),
    }),
  ),
  indexes: z.array(
    z.object({
      schema: z.string(),
      tableName: z.string(),
      name: z.string(),
      columns: z.array(z.object({name: z.string(), direction: z.enum(['ASC', 'DESC'])})),
    }),
  ),
});

import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {liteTableName, type PublishedColumn, type PublishedSchema} from '../pg/published-schema.ts';
import {codecFor, isArrayType, isEnumType} from '../pg/types.ts';
import {parseSnapshotRow} from './build-replica.ts';
import {
  CASE_FILE,
  type Fixture,
  ROWS_FILE,
  readSchema,
  SCHEMA_FILE,
  WAL_FILE,
  type WalCase,
} from './fixture.ts';
import {LineWriter, readJsonLines} from './lines.ts';
import {mapStrings, type Strings, type Word} from './map-strings.ts';
import {Pseudonyms} from './pseudonyms.ts';
import {frameLine, readRecording} from './recording.ts';
import {FrameRewriter, type MapText} from './redact-frame.ts';

/**
 * Writes a copy of a WAL fixture without expectations in which every string is replaced (`fixtures/README.md` says what
 * is kept). Two passes over the files; memory is bounded. @throws FixtureUnusable, StreamUndecodable.
 */
export const redactFixture = async (from: Fixture<WalCase>, dir: string): Promise<void> => {
  const work = mkdtempSync(join(tmpdir(), 'zs-redact-'));
  const names = new Pseudonyms(join(work, 'words.db'));
  try {
    const schema = readSchema(from.dir);
    await rewrite(from, schema, word => {
      names.collect(word);
      return word;
    });
    names.seal();
    mkdirSync(dir, {recursive: true});
    using rows = new LineWriter(join(dir, ROWS_FILE));
    using wal = new LineWriter(join(dir, WAL_FILE));
    await rewrite(from, schema, word => names.of(word), {
      row: row => rows.write(JSON.stringify(row)),
      frame: frame => wal.write(frameLine(frame)),
    });
    const facts: WalCase = {...from.case, redacted: true};
    writeFileSync(join(dir, CASE_FILE), `${JSON.stringify(facts, null, 2)}\n`);
    writeFileSync(join(dir, SCHEMA_FILE), `${JSON.stringify(withoutLiterals(schema), null, 2)}\n`);
  } finally {
    names.close();
    rmSync(work, {recursive: true, force: true});
  }
};

const rewrite = async (
  from: Fixture<WalCase>,
  schema: PublishedSchema,
  word: Word,
  out?: {readonly row: (row: object) => void; readonly frame: (frame: Buffer) => void},
): Promise<void> => {
  const kinds = new Kinds(schema);
  for await (const {table, row} of readJsonLines(join(from.dir, ROWS_FILE), parseSnapshotRow)) {
    const columns = kinds.ofTable(table);
    const mapped = row.map((text, i) =>
      text === null ? null : mapStrings(columns[i] ?? 'text', text, word),
    );
    out?.row({table, row: mapped});
  }
  const frames = new FrameRewriter();
  const map: MapText = (relation, i, text) =>
    mapStrings(kinds.ofColumn(liteTableName(relation), relation.columns[i]!), text, word);
  for await (const group of readRecording(join(from.dir, WAL_FILE)))
    for (const frame of group) {
      const rewritten = frames.rewrite(frame, map);
      if (rewritten) out?.frame(rewritten);
    }
};

/** Where strings are in the columns of each table. */
class Kinds {
  readonly #tables: ReadonlyMap<string, readonly PublishedColumn[]>;

  constructor(schema: PublishedSchema) {
    this.#tables = new Map(schema.tables.map(table => [liteTableName(table), table.columns]));
  }

  ofTable(table: string): readonly Strings[] {
    return (this.#tables.get(table) ?? []).map(stringsOf);
  }

  /** Columns that came after the snapshot are known by their type's number alone. */
  ofColumn(table: string, column: {readonly name: string; readonly typeOid: number}): Strings {
    const known = this.#tables.get(table)?.find(({name}) => name === column.name);
    if (known?.typeOid === column.typeOid) return stringsOf(known);
    if (KEPT_OIDS.has(column.typeOid)) return 'none';
    return JSON_OIDS.has(column.typeOid) ? 'json' : 'text';
  }
}

/** bool, int8, int2, int4, float4, float8, date, time, timestamp, timestamptz, timetz, numeric. */
const KEPT_OIDS = new Set([16, 20, 21, 23, 700, 701, 1082, 1083, 1114, 1184, 1266, 1700]);
const JSON_OIDS = new Set([114, 3802]);

/** Labels of enums are names of the schema; numbers, booleans and times are kept; what is unknown counts as text. */
const stringsOf = (column: PublishedColumn): Strings => {
  const base = column.dataType.replaceAll('[]', '');
  // Arrays of boxes alone are separated by something else than commas; they hold numbers.
  if (isEnumType(column) || base === 'box') return 'none';
  const {zqlType} = codecFor({...column, dataType: base, typeClass: column.elementClass ?? column.typeClass});
  const kept = zqlType === 'number' || zqlType === 'boolean';
  if (isArrayType(column)) return kept ? 'none' : {arrayOf: zqlType === 'json' ? 'json' : 'text'};
  if (kept) return 'none';
  if (base === 'bytea') return 'bytea';
  return zqlType === 'json' ? 'json' : 'text';
};

/** Defaults and row filters may quote values; a replay needs neither. */
const withoutLiterals = (schema: PublishedSchema): PublishedSchema => ({
  ...schema,
  tables: schema.tables.map(table => ({
    ...table,
    columns: table.columns.map(column => ({...column, dflt: null, missing: null})),
    publications: Object.fromEntries(Object.keys(table.publications).map(name => [name, {rowFilter: null}])),
  })),
});

import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {PublishedSchema} from '../pg/published-schema.ts';
import {parseSnapshotRow} from './build-replica.ts';
import {ColumnStrings, redactSchema} from './column-strings.ts';
import {type CopiedValue, parseReplicaLine} from './copy-replica.ts';
import {asidesOf} from './first-replica.ts';
import {
  ASIDES_FILE,
  CASE_FILE,
  type Fixture,
  makeFolder,
  REPLICA_FILE,
  ROWS_FILE,
  readSchema,
  SCHEMA_FILE,
  WAL_FILE,
  type WalCase,
} from './fixture.ts';
import {LineWriter, readJsonLines} from './lines.ts';
import {mapStrings, type Word} from './map-strings.ts';
import {Pseudonyms} from './pseudonyms.ts';
import {frameLine, readRecording} from './recording.ts';
import {FrameRewriter} from './redact-frame.ts';
import {mapStored, ReplicaRewriter} from './redact-replica.ts';
import {WorkFolder} from './work-folder.ts';

/** Takes the lines of a rewritten file. */
type Sink = (file: string, line: string) => void;

/**
 * Writes a copy of a WAL fixture without expectations in which every string is replaced (`fixtures/README.md` says what
 * is kept). Three passes over the files: for schemas, for strings, and to write; memory is bounded.
 * @throws FixtureUnusable, StreamUndecodable.
 */
export const redactFixture = async (from: Fixture<WalCase>, dir: string): Promise<void> => {
  using work = new WorkFolder();
  const names = new Pseudonyms(work.file('words.db'));
  const files = new Map<string, LineWriter>();
  try {
    const strings = new ColumnStrings();
    for await (const schema of schemasOf(from)) strings.learn(schema);
    await rewrite(from, strings, word => {
      names.collect(word);
      return word;
    });
    names.seal();
    makeFolder(dir);
    await rewrite(
      from,
      strings,
      word => names.of(word),
      (file, line) => {
        const writer = files.get(file) ?? new LineWriter(join(dir, file));
        files.set(file, writer);
        writer.write(line);
      },
    );
    // A recording may lack any of them, and a replay none.
    for (const file of from.case.snapshot === 'replica' ? [WAL_FILE] : [ROWS_FILE, WAL_FILE])
      if (!files.has(file)) writeFileSync(join(dir, file), '');
    const facts: WalCase = {...from.case, redacted: true};
    writeFileSync(join(dir, CASE_FILE), `${JSON.stringify(facts, null, 2)}\n`);
  } finally {
    for (const writer of files.values()) writer.close();
    names.close();
  }
};

type Tables = Pick<PublishedSchema, 'tables'>;

/** Every schema that a recording carries. */
async function* schemasOf({dir, case: facts}: Fixture<WalCase>): AsyncGenerator<Tables> {
  if (facts.snapshot === 'replica') {
    for await (const line of readJsonLines(join(dir, REPLICA_FILE), parseReplicaLine))
      if ('into' in line && line.into === '_zero.publishedSchema')
        yield* tablesIn(JSON.parse(String(line.values.find(value => typeof value === 'string'))));
  } else yield readSchema(dir);
  for await (const group of readRecording(join(dir, WAL_FILE)))
    for (const frame of group) {
      const message = FrameRewriter.schemaMessage(frame);
      if (message) yield* tablesIn(message);
    }
  const asides = asidesOf(dir);
  if (asides) for await (const line of readJsonLines(asides, value => value)) yield* tablesIn(line);
}

/** Objects with published tables anywhere in a JSON value. */
function* tablesIn(value: unknown): Generator<Tables> {
  if (value === null || typeof value !== 'object') return;
  const {tables} = value as {tables?: unknown};
  if (Array.isArray(tables) && tables.every(table => Array.isArray((table as {columns?: unknown}).columns)))
    yield value as Tables;
  for (const field of Object.values(value)) if (field && typeof field === 'object') yield* tablesIn(field);
}

const rewrite = async (
  from: Fixture<WalCase>,
  strings: ColumnStrings,
  word: Word,
  out: Sink = () => {},
): Promise<void> => {
  const {dir} = from;
  if (from.case.snapshot === 'replica') await rewriteReplica(dir, strings, word, out);
  else await rewriteSnapshot(dir, strings, word, out);
  const frames = new FrameRewriter({
    text: (relation, i, text) =>
      mapStrings(strings.ofRelation(relation.oid, relation.columns[i]!), text, word),
    schema: message => redactSchema(message, word),
  });
  for await (const group of readRecording(join(dir, WAL_FILE)))
    for (const frame of group) {
      const rewritten = frames.rewrite(frame);
      if (rewritten) out(WAL_FILE, frameLine(rewritten));
    }
  const asides = asidesOf(dir);
  if (asides)
    for await (const line of readJsonLines(asides, value => value as AsideJson))
      out(ASIDES_FILE, JSON.stringify(rewriteAside(line, strings, word)));
};

const rewriteReplica = async (dir: string, strings: ColumnStrings, word: Word, out: Sink) => {
  const replica = new ReplicaRewriter(strings, word);
  try {
    for await (const line of readJsonLines(join(dir, REPLICA_FILE), parseReplicaLine))
      out(REPLICA_FILE, JSON.stringify(replica.rewrite(line)));
  } finally {
    replica.close();
  }
};

const rewriteSnapshot = async (dir: string, strings: ColumnStrings, word: Word, out: Sink) => {
  const schema = readSchema(dir);
  out(SCHEMA_FILE, JSON.stringify(redactSchema(schema, word), null, 2));
  const columns = new Map(
    schema.tables.map(table => [
      table.schema === 'public' ? table.name : `${table.schema}.${table.name}`,
      table.columns.map(column => strings.ofRelation(table.oid, column)),
    ]),
  );
  for await (const {table, row} of readJsonLines(join(dir, ROWS_FILE), parseSnapshotRow)) {
    const mapped = row.map((text, i) =>
      text === null ? null : mapStrings(columns.get(table)?.[i] ?? 'text', text, word),
    );
    out(ROWS_FILE, JSON.stringify({table, row: mapped}));
  }
};

interface AsideJson {
  readonly aside?: {readonly oid?: number; readonly columns?: string[]; readonly rows?: CopiedValue[][]};
}

const rewriteAside = (line: AsideJson, strings: ColumnStrings, word: Word): unknown => {
  const {aside} = line;
  if (!aside?.rows) return redactSchema(line, word);
  const kinds = (aside.columns ?? []).map(column => strings.ofOid(aside.oid ?? 0, column));
  const rows = aside.rows.map(row => row.map((value, i) => mapStored(kinds[i] ?? 'text', value, word)));
  return {...line, aside: {...aside, rows}};
};

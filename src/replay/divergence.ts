import {formatLsn, lsnOfVersion} from '../pg/lsn.ts';
import {VERSION_COLUMN} from '../replica/table-spec.ts';
import {describeLine, type LineIdentity, type TableKeys} from './describe-line.ts';
import {jsonFields} from './json-fields.ts';
import {readLines} from './lines.ts';

/** The first place where a replay did not give what the fixture expects. */
export interface Divergence {
  /** The expectation's file name. */
  readonly file: string;
  /** 1-based line of the expectation. */
  readonly line: number;
  /** Table, key, column, expected and got, in words. */
  readonly words: string;
  /** Transaction that wrote the row which differs, if the line tells. */
  readonly writtenAt: string | null;
  readonly expected: string | null;
  readonly got: string | null;
}

/** Lines looked ahead to tell a missing line from one too many. */
const LOOK_AHEAD = 2000;
const MAX_VALUE_LENGTH = 120;
const CONTEXT_LENGTH = 40;

/**
 * Compares two line files as they are read; null if they are equal. With `prefix`, the second may end early: a replay
 * that was stopped in the middle.
 */
export const firstDivergence = async (
  name: string,
  expectedFile: string,
  gotFile: string,
  {prefix = false}: {readonly prefix?: boolean} = {},
): Promise<Divergence | null> => {
  const expected = new Lines(expectedFile);
  const got = new Lines(gotFile);
  const keys: TableKeys = new Map();
  try {
    for (let line = 1; ; line++) {
      const want = await expected.next();
      const have = await got.next();
      if (want === have) {
        if (want === null) return null;
        if (want.startsWith('{"table"')) describeLine(want, keys);
        continue;
      }
      if (have === null && prefix) return null;
      const told = await tell(want, have, expected, got, keys);
      return {file: name, line, expected: want, got: have, ...told};
    }
  } finally {
    await expected.close();
    await got.close();
  }
};

const tell = async (
  want: string | null,
  have: string | null,
  expected: Lines,
  got: Lines,
  keys: TableKeys,
): Promise<Pick<Divergence, 'words' | 'writtenAt'>> => {
  if (want === null) return tooMuch(have!, keys);
  const wanted = describeLine(want, keys);
  if (have === null) return missing(wanted);
  const held = describeLine(have, keys);
  if (wanted.id === held.id) return {words: fieldWords(wanted, want, have), writtenAt: writtenAt(have)};
  for (const later of await expected.ahead(LOOK_AHEAD))
    if (describeLine(later, keys).id === held.id) return missing(wanted);
  for (const later of await got.ahead(LOOK_AHEAD))
    if (describeLine(later, keys).id === wanted.id) return tooMuch(have, keys);
  return {words: `${wanted.noun} is missing; in its place: ${held.noun}`, writtenAt: writtenAt(have)};
};

const missing = (wanted: LineIdentity) => ({words: `${wanted.noun} is missing`, writtenAt: null});

const tooMuch = (have: string, keys: TableKeys) => ({
  words: `${describeLine(have, keys).noun} is not expected`,
  writtenAt: writtenAt(have),
});

const fieldWords = (identity: LineIdentity, want: string, have: string): string => {
  const wanted = jsonFields(want);
  const held = jsonFields(have);
  for (const path of new Set([...wanted.keys(), ...held.keys()])) {
    const [a, b] = [wanted.get(path), held.get(path)];
    if (a !== b) return `${identity.place}, ${identity.field(path)}: ${difference(a, b)}`;
  }
  return `${identity.place}: the order of its fields differs`;
};

/** Both values, long ones cut to where they begin to differ. */
const difference = (a: string | undefined, b: string | undefined): string => {
  let same = 0;
  while (a && b && same < a.length && a[same] === b[same]) same++;
  const from = Math.max(0, same - CONTEXT_LENGTH);
  const cut = (value: string | undefined): string => {
    if (value === undefined) return 'nothing';
    if (value.length <= MAX_VALUE_LENGTH) return value;
    const part = value.slice(from, from + MAX_VALUE_LENGTH);
    return `${from ? '…' : ''}${part}… (${value.length} characters, different from the ${same + 1}. on)`;
  };
  return `expected ${cut(a)}, got ${cut(b)}`;
};

const writtenAt = (line: string): string | null => {
  const version = jsonFields(line).get(`values.${VERSION_COLUMN}`);
  if (!version?.startsWith('"')) return null;
  try {
    return formatLsn(lsnOfVersion(JSON.parse(version) as string));
  } catch {
    return null;
  }
};

class Lines {
  readonly #source: AsyncGenerator<string>;
  #peeked: string[] = [];

  constructor(file: string) {
    this.#source = readLines(file);
  }

  async next(): Promise<string | null> {
    const peeked = this.#peeked.shift();
    if (peeked !== undefined) return peeked;
    const {value, done} = await this.#source.next();
    return done ? null : value;
  }

  async ahead(count: number): Promise<readonly string[]> {
    while (this.#peeked.length < count) {
      const {value, done} = await this.#source.next();
      if (done) break;
      this.#peeked.push(value);
    }
    return this.#peeked;
  }

  async close(): Promise<void> {
    await this.#source.return(undefined);
  }
}

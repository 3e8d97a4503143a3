/** What of a poke's parts the reader keeps. */
export type Keep = 'rows' | 'count';

interface RowPatch {
  readonly op: 'put' | 'del' | 'update';
  readonly tableName: string;
  readonly value?: Readonly<Record<string, unknown>>;
  readonly id?: Readonly<Record<string, unknown>>;
}

interface PokePart {
  readonly lastMutationIDChanges?: Readonly<Record<string, number>>;
  readonly gotQueriesPatch?: readonly {readonly op: string; readonly hash: string}[];
  readonly rowsPatch?: readonly RowPatch[];
}

/** One finished poke. */
export interface Poke {
  readonly cookie: string;
  /** Bytes of all its frames. */
  readonly bytes: number;
  readonly rowPatches: number;
}

const PART = Buffer.from('["pokePart"');
const START = Buffer.from('["pokeStart"');
const END = Buffer.from('["pokeEnd"');
const TABLE_NAME = Buffer.from('"tableName":');
const GOT = Buffer.from('"gotQueriesPatch":[');
const MUTATED = Buffer.from('"lastMutationIDChanges":{');

/** Primary keys by table; the id of every other table is `id`. */
const COMPOUND: Readonly<Record<string, readonly string[]>> = {issue_label: ['issue', 'label']};

/**
 * Reads the frames of one connection. Kept to counts it looks for a few byte strings and parses only what is small, so
 * that thousands of clients in one process do not become what is measured.
 */
export class PokeReader {
  /** `table/key` → row; empty when only counts are kept. */
  readonly rows = new Map<string, Readonly<Record<string, unknown>>>();
  readonly got = new Set<string>();
  readonly lastMutationIDs = new Map<string, number>();
  rowPatches = 0;
  cookie: string | null = null;
  readonly #keep: Keep;
  readonly #pending: PokePart[] = [];
  #bytes = 0;
  #patches = 0;

  constructor(keep: Keep) {
    this.#keep = keep;
  }

  /** Returns the poke that the frame finishes; null for any other frame of a poke, false if it is none. */
  read(frame: Buffer): Poke | null | false {
    if (startsWith(frame, PART)) {
      this.#bytes += frame.length;
      if (this.#keep === 'rows') this.#pending.push(bodyOf<PokePart>(frame));
      else this.#skim(frame);
      return null;
    }
    if (startsWith(frame, START)) {
      this.#bytes = frame.length;
      this.#patches = 0;
      this.#pending.length = 0;
      return null;
    }
    if (!startsWith(frame, END)) return false;
    const {cookie, cancel} = bodyOf<{cookie: string; cancel?: boolean}>(frame);
    if (cancel) return null;
    for (const part of this.#pending) this.#apply(part);
    this.#pending.length = 0;
    this.cookie = cookie;
    this.rowPatches += this.#patches;
    return {cookie, bytes: this.#bytes + frame.length, rowPatches: this.#patches};
  }

  /** What is found counts from the end of the poke on, which may come much later. */
  #skim(frame: Buffer): void {
    this.#patches += occurrences(frame, TABLE_NAME);
    const got = frame.indexOf(GOT);
    if (got >= 0)
      this.#pending.push({
        gotQueriesPatch: JSON.parse(between(frame, got + GOT.length - 1, ']')) as NonNullable<
          PokePart['gotQueriesPatch']
        >,
      });
    const mutated = frame.indexOf(MUTATED);
    if (mutated >= 0)
      this.#pending.push({
        lastMutationIDChanges: JSON.parse(between(frame, mutated + MUTATED.length - 1, '}')) as Record<
          string,
          number
        >,
      });
  }

  #apply(part: PokePart): void {
    this.#applyMutations(part.lastMutationIDChanges);
    this.#applyGot(part.gotQueriesPatch);
    for (const patch of part.rowsPatch ?? []) {
      this.#patches++;
      const key = keyOf(patch.tableName, patch.value ?? patch.id ?? {});
      if (patch.op === 'del') this.rows.delete(key);
      else this.rows.set(key, patch.value ?? {});
    }
  }

  #applyGot(patch: PokePart['gotQueriesPatch']): void {
    for (const {op, hash} of patch ?? []) {
      if (op === 'put') this.got.add(hash);
      else this.got.delete(hash);
    }
  }

  #applyMutations(changes: PokePart['lastMutationIDChanges']): void {
    for (const [clientID, id] of Object.entries(changes ?? {})) this.lastMutationIDs.set(clientID, id);
  }
}

const startsWith = (frame: Buffer, prefix: Buffer): boolean =>
  frame.length >= prefix.length && frame.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;

const bodyOf = <Body>(frame: Buffer): Body => (JSON.parse(frame.toString('utf8')) as [string, Body])[1];

const occurrences = (frame: Buffer, text: Buffer): number => {
  let count = 0;
  for (let at = frame.indexOf(text); at >= 0; at = frame.indexOf(text, at + text.length)) count++;
  return count;
};

/** From `start` to the first `end`, inclusive: neither hashes nor client ids hold a bracket. */
const between = (frame: Buffer, start: number, end: string): string =>
  frame.toString('utf8', start, frame.indexOf(end, start) + 1);

const keyOf = (table: string, row: Readonly<Record<string, unknown>>): string =>
  `${table}/${(COMPOUND[table] ?? ['id']).map(column => String(row[column])).join('/')}`;

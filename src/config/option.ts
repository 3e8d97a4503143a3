/** What an option says about itself, whatever its type. */
export interface Words {
  /** One or more sentences for help and documentation: what it does, its unit, when to change it. */
  readonly about: string;
  /** Left out of help and documentation. */
  readonly hidden?: true;
  /** Works, but warns when set: what to use instead. Deprecated options are left out of help. */
  readonly deprecated?: string;
  /** Its value never appears in a message. */
  readonly secret?: true;
  readonly required?: true;
  /** Not among the original's options. */
  readonly ours?: true;
  /** Accepted, but the feature is not there yet: what happens until then. Delete the property when it is. */
  readonly later?: string;
  /** Accepted so that existing deployments start, and needs no feature here: why. */
  readonly inert?: string;
  /** The default in words, when it depends on other options or on the machine. */
  readonly defaultText?: string;
}

export type Kind = 'string' | 'number' | 'boolean' | 'list' | 'enum' | 'json';

/** Outcome of reading an option's text; `must` completes the sentence "the value must be …". */
export type Read<T> = {readonly value: T} | {readonly must: string};

/** One row of the option table. `T` is the type of its value, `undefined` included when it has no default. */
export interface Option<T> extends Words {
  readonly kind: Kind;
  readonly default: T;
  /** The words that an enum accepts. */
  readonly choices?: readonly string[];
  /** Reads the text of the environment variable or flag; a list gets one text per element, others exactly one. */
  readonly read: (texts: readonly string[]) => Read<T>;
}

/** Any text. */
export function text(words: Words & {readonly default: string}): Option<string>;
export function text(words: Words): Option<string | undefined>;
export function text(words: Words & {readonly default?: string}): Option<string | undefined> {
  return {...words, kind: 'string', default: words.default, read: ([value]) => ({value})};
}

/** Bounds of a number, inclusive unless said otherwise. */
export interface NumberRule {
  readonly int?: true;
  readonly min?: number;
  readonly max?: number;
  /** Exclusive lower bound. */
  readonly above?: number;
}

/** Whatever JavaScript's `Number()` reads as a finite number within the rule. */
export function number(words: Words & NumberRule & {readonly default: number}): Option<number>;
export function number(words: Words & NumberRule): Option<number | undefined>;
export function number(words: Words & NumberRule & {readonly default?: number}): Option<number | undefined> {
  const {int, min, max, above, ...about} = words;
  const must = describeRule(words);
  const fits = (value: number): boolean =>
    Number.isFinite(value) &&
    (!int || Number.isSafeInteger(value)) &&
    (min === undefined || value >= min) &&
    (max === undefined || value <= max) &&
    (above === undefined || value > above);
  return {
    ...about,
    kind: 'number',
    default: words.default,
    read: ([given = '']) => {
      const value = given.trim() === '' ? Number.NaN : Number(given);
      return fits(value) ? {value} : {must};
    },
  };
}

/** A whole number of things: never negative, never fractional. */
export const count = {int: true, min: 0} as const;

const describeRule = ({int, min, max, above}: NumberRule): string => {
  const noun = int ? 'a whole number' : 'a number';
  if (min !== undefined && max !== undefined) return `${noun} from ${min} to ${max}`;
  if (above !== undefined && max !== undefined) return `${noun} above ${above} and at most ${max}`;
  if (above !== undefined) return `${noun} above ${above}`;
  if (min !== undefined) return `${noun} of at least ${min}`;
  return noun;
};

const BOOLEANS: Readonly<Record<string, boolean>> = {true: true, '1': true, false: false, '0': false};

/** `true`, `1`, `false` or `0` in any case; a bare `--flag` is true, `--no-flag` is false. */
export function flag(words: Words & {readonly default: boolean}): Option<boolean>;
export function flag(words: Words): Option<boolean | undefined>;
export function flag(words: Words & {readonly default?: boolean}): Option<boolean | undefined> {
  return {
    ...words,
    kind: 'boolean',
    default: words.default,
    read: ([given = '']) => {
      const value = BOOLEANS[given.toLowerCase()];
      return value === undefined ? {must: 'true or false (1 and 0 will do)'} : {value};
    },
  };
}

/** Several texts: separated by commas in the environment, by spaces on the command line. */
export function list(words: Words & {readonly default: readonly string[]}): Option<readonly string[]>;
export function list(words: Words): Option<readonly string[] | undefined>;
export function list(
  words: Words & {readonly default?: readonly string[]},
): Option<readonly string[] | undefined> {
  return {...words, kind: 'list', default: words.default, read: value => ({value})};
}

/** One word of a few. */
export const choice = <const C extends string>(
  choices: readonly C[],
  words: Words & {readonly default: NoInfer<C>},
): Option<C> => ({
  ...words,
  kind: 'enum',
  choices,
  default: words.default,
  read: ([given]) => {
    const value = choices.find(word => word === given);
    return value === undefined ? {must: `one of ${choices.join(', ')}`} : {value};
  },
});

/** A JSON object, kept as the text it came in. */
export const json = (words: Words): Option<string | undefined> => ({
  ...words,
  kind: 'json',
  default: undefined,
  read: ([value = '']) => (isJsonObject(value) ? {value} : {must: 'a JSON object'}),
});

const isJsonObject = (given: string): boolean => {
  try {
    const value: unknown = JSON.parse(given);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
};

import type {Option} from './option.ts';
import {appServerOptions} from './options/app-server.ts';
import {databaseOptions} from './options/databases.ts';
import {litestreamOptions} from './options/litestream.ts';
import {observeOptions} from './options/observe.ts';
import {serverOptions} from './options/server.ts';
import {upstreamOptions} from './options/upstream.ts';

/** The one table from which parsing, help, documentation and the daemon's notices are made. */
const table = {
  ...upstreamOptions,
  ...serverOptions,
  ...appServerOptions,
  ...databaseOptions,
  ...observeOptions,
  ...litestreamOptions,
};

/** Headings of help and documentation, in order. */
const SECTIONS: readonly (readonly [string, object])[] = [
  ['PostgreSQL, app and replica', upstreamOptions],
  ['Server', serverOptions],
  ['Your server, mutations and users', appServerOptions],
  ['Client view records, change log and other nodes', databaseOptions],
  ['Logging and initial sync', observeOptions],
  ['Backup by litestream (accepted, not needed)', litestreamOptions],
];

type Values<T> = {readonly [K in keyof T]: T[K] extends Option<infer V> ? V : Values<T[K]>};

/** Values as given, or defaults: what {@link table} says, before defaults that depend on other options. */
export type OptionValues = Values<typeof table>;

/** An option with its names. */
export interface OptionEntry {
  /** `['upstream', 'db']`, or one element for an option outside any group. */
  readonly path: readonly string[];
  /** `ZERO_UPSTREAM_DB` */
  readonly env: string;
  /** `--upstream-db` */
  readonly flag: string;
  readonly section: string;
  readonly option: Option<unknown>;
}

/** `storageDBTmpDir` → `storage-db-tmp-dir`: a run of capitals is one word (config-ops.md §1.1). */
const kebab = (name: string): string =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();

const isOption = (node: object): node is Option<unknown> => 'read' in node;

const entriesOf = (section: string, node: object, path: readonly string[]): readonly OptionEntry[] => {
  if (!isOption(node))
    return Object.entries(node).flatMap(([name, child]) => entriesOf(section, child, [...path, name]));
  const name = path.map(kebab).join('-');
  return [
    {
      path,
      env: `ZERO_${name.toUpperCase().replaceAll('-', '_')}`,
      flag: `--${name}`,
      section,
      option: node,
    },
  ];
};

/** Every option, in the order of help. */
export const optionEntries: readonly OptionEntry[] = SECTIONS.flatMap(([title, group]) =>
  entriesOf(title, group, []),
);

/** Shown in help and documentation. */
export const isListed = ({option}: OptionEntry): boolean => !option.hidden && !option.deprecated;

/** The values of all options, given those that were set. Keys of `given` are environment names. */
export const withDefaults = (given: ReadonlyMap<string, unknown>): OptionValues => {
  const values: Record<string, unknown> = {};
  for (const {path, env, option} of optionEntries) {
    const value = given.has(env) ? given.get(env) : option.default;
    const [first = '', second] = path;
    if (second === undefined) values[first] = value;
    else values[first] = {...(values[first] as object | undefined), [second]: value};
  }
  // Each value came from its own option's `read` or `default`, so the types of the table hold.
  return values as OptionValues;
};

import type {OptionEntry} from './option-table.ts';

/** An option as the user set it: the texts, not yet read. */
export interface Given {
  readonly entry: OptionEntry;
  /** One text per element of a list, otherwise exactly one. */
  readonly texts: readonly string[];
  /** The name the user wrote, for messages. */
  readonly name: string;
}

/** What one source (command line or environment) sets, by environment name, and what is wrong with it. */
export interface Source {
  readonly given: ReadonlyMap<string, Given>;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  readonly notices: readonly string[];
}

/** `ZERO_PORT (--port)` */
export const bothNames = ({env, flag}: Pick<OptionEntry, 'env' | 'flag'>): string => `${env} (${flag})`;

/** Says that a setting is accepted for the sake of existing deployments. */
export const nothingToDo = (name: string, why: string): string =>
  `${name}: accepted, but has nothing to do here: ${why}`;

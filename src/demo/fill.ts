import type pg from 'pg';
import {DevelopmentImpossible} from '../errors.ts';
import type {Filled, Origin} from './database.ts';
import {fillDemo} from './fill-demo.ts';
import {runSqlFile, type SqlFile} from './sql-file.ts';

export interface Filling {
  readonly origin: Origin;
  readonly fill: (client: pg.Client) => Promise<void>;
}

/** The user's file, or the demonstration. */
export const fillingOf = (file: SqlFile | null): Filling =>
  file
    ? {origin: {from: file.path, hash: file.hash}, fill: client => runSqlFile(client, file)}
    : {origin: {from: 'demo', hash: ''}, fill: fillDemo};

/**
 * Compares what was asked for with what is there. @returns a remark, or null.
 * @throws DevelopmentImpossible if it is something else: nobody's rows are removed without being told to.
 */
export const checkOrigin = (file: SqlFile | null, {origin, fresh}: Filled): string | null => {
  if (!file || fresh || file.hash === origin.hash) return null;
  if (file.path === origin.from)
    return `${file.path} has changed since the database was made from it. The database stays as it is; --reset makes it anew.`;
  throw new DevelopmentImpossible(
    `.zero/ in this folder holds ${origin.from === 'demo' ? 'the demonstration' : `a database made from ${origin.from}`}. Add --reset to replace it with ${file.path}, or start in another folder.`,
  );
};

export const describeFilled = ({origin, fresh}: Filled): string =>
  `database "demo" ${fresh ? 'filled with' : 'as it was left, with'} ${originName(origin)}`;

/** For people. */
const originName = ({from}: Origin): string =>
  from === 'demo' ? 'an issue tracker of some eight thousand rows' : `what ${from} makes`;

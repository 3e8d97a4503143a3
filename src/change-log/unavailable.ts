import {ChangeLogUnavailable} from '../errors.ts';

/** A fault of the change log's database, without the values that PostgreSQL's details may hold. */
export const unavailable = (error: unknown): ChangeLogUnavailable => {
  const {code, message} = error as {code?: string; message?: string};
  return new ChangeLogUnavailable(`The change log cannot be reached (${code ?? message}).`, {cause: error});
};

import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {resolve} from 'node:path';
import type pg from 'pg';
import {DevelopmentImpossible} from '../errors.ts';

export interface SqlFile {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
  /** Tells whether the file has changed. */
  readonly hash: string;
}

/** What pg_dump writes for psql alone and means nothing here. */
const HARMLESS = /^\\(un)?restrict\b.*$/gm;

/** Reads a file for {@link runSqlFile}. @throws DevelopmentImpossible if it is not there or holds what only psql can do. */
export const readSqlFile = (name: string): SqlFile => {
  const path = resolve(name);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const {code} = cause as NodeJS.ErrnoException;
    throw new DevelopmentImpossible(
      code === 'ENOENT' ? `There is no file ${path}.` : `The file ${path} cannot be read (${code}).`,
      {cause},
    );
  }
  const sql = text.replace(HARMLESS, '');
  const copy = /^\s*COPY\s[^;]*\sFROM\s+stdin\b/im.exec(sql);
  if (copy)
    throw unfit(
      path,
      sql,
      copy.index + copy[0].search(/\S/),
      'COPY … FROM stdin is done by psql only; make the dump with pg_dump --inserts',
    );
  const meta = /^\\[a-z!?]\S*/im.exec(sql);
  if (meta)
    throw unfit(
      path,
      sql,
      meta.index,
      `${meta[0].slice(0, 20)} is a command of psql and no SQL; take it out`,
    );
  return {path, text: sql, hash: createHash('sha256').update(text).digest('hex').slice(0, 16)};
};

/** Runs all statements, as one transaction unless the file has its own. @throws DevelopmentImpossible naming the line. */
export const runSqlFile = async (client: pg.Client, {path, text}: SqlFile): Promise<void> => {
  try {
    await client.query(text);
  } catch (cause) {
    const {message, position, detail, hint} = cause as Partial<
      Record<'position' | 'detail' | 'hint', string>
    > &
      Error;
    throw unfit(
      path,
      text,
      position ? positionInUnits(text, Number(position)) : null,
      // Of one's own file: without its values nobody finds the statement of a key that is there twice.
      [message, detail, hint].filter(Boolean).join('. '),
      cause,
    );
  }
};

/** PostgreSQL counts characters, from 1; JavaScript units of UTF-16. */
const positionInUnits = (text: string, position: number): number => {
  let units = 0;
  for (const character of text) {
    if (--position < 1) break;
    units += character.length;
  }
  return units;
};

const unfit = (path: string, text: string, at: number | null, what: string, cause?: unknown) => {
  const line = at === null ? '' : `, line ${text.slice(0, at).split('\n').length}`;
  return new DevelopmentImpossible(`${path}${line}: ${what}`, {cause});
};

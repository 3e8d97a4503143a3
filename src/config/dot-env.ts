import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parse} from 'dotenv';

/**
 * The variables of `dir`'s `.env` file; none if there is no such file. The caller lays the real environment over them:
 * `{...loadDotEnv(dir), ...process.env}`.
 */
export const loadDotEnv = (dir: string): Record<string, string> => {
  try {
    return parse(readFileSync(join(dir, '.env')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
};

import {accessSync, constants, statSync} from 'node:fs';
import {dirname, resolve} from 'node:path';

/** Why no replica can be kept at `file`, or undefined. SQLite creates the file, but not the directory. */
export const replicaPathProblem = (file: string): string | undefined => {
  const directory = dirname(resolve(file));
  try {
    if (statSync(file, {throwIfNoEntry: false})?.isDirectory()) return 'is a directory; name a file in it';
    if (!statSync(directory).isDirectory()) return `${directory} is not a directory; name a file elsewhere`;
    accessSync(directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? `the directory ${directory} does not exist; create it, or name a file elsewhere`
      : `the directory ${directory} cannot be written; grant access, or name a file elsewhere`;
  }
};

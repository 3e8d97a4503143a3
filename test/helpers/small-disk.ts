import {execFileSync} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

/** A disk of its own size; null where that takes a privilege we do not have. */
export const smallDisk = async (megabytes: number): Promise<string | null> => {
  const dir = await mkdtemp(join(tmpdir(), 'zs-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir], {stdio: 'ignore'});
    return dir;
  } catch {
    await rm(dir, {recursive: true, force: true});
    return null;
  }
};

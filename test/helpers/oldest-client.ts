import {execFileSync} from 'node:child_process';
import {existsSync, renameSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';
import type * as Client from '@rocicorp/zero';
import {npmIn} from './from-npm.ts';
import './stock-client.ts';

/** The oldest published client whose protocol is 30 or later: it speaks 37. */
export const OLDEST = {version: '0.24.2025101500'} as const;

const CACHE = 'node_modules/.cache/zerostream-test';

/**
 * The oldest client, which npm brings on first use: the package's own bundle alone, since what it imports is here already.
 * Null where the registry cannot be reached.
 */
export const oldestClient = async (): Promise<typeof Client | null> => {
  const dir = resolve(CACHE, `zero-${OLDEST.version}`);
  if (!existsSync(dir)) {
    const fresh = resolve(CACHE, `fresh-${process.pid}`);
    try {
      npmIn(fresh, ['pack', '--silent', `@rocicorp/zero@${OLDEST.version}`]);
    } catch (error) {
      console.error(`the oldest client cannot be had: ${(error as Error).message}`);
      return null;
    }
    execFileSync('tar', ['xzf', `rocicorp-zero-${OLDEST.version}.tgz`], {cwd: fresh});
    if (!existsSync(dir)) renameSync(join(fresh, 'package'), dir);
  }
  return (await import(pathToFileURL(join(dir, 'out/zero.js')).href)) as typeof Client;
};

import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';
import {npmIn} from './from-npm.ts';

const CACHE = 'node_modules/.cache/zerostream-peer/node-24';

/**
 * The command of the peer's server: the npm package's own, on Node 24, which npm brings on first use. Only its outside is
 * used: options, ports, protocol. @throws if the registry cannot be reached.
 */
export const peerCommand = (): readonly [string, string] => {
  const node = resolve(CACHE, 'node_modules/node/bin/node');
  if (!existsSync(node)) {
    mkdirSync(CACHE, {recursive: true});
    writeFileSync(join(CACHE, 'package.json'), '{"private": true, "allowScripts": {"node": true}}');
    npmIn(CACHE, ['install', '--no-audit', '--no-fund', 'node@24']);
  }
  return [node, resolve('node_modules/@rocicorp/zero/out/zero/src/cli.js')];
};

/** The same with the environment it needs, for tests; null where it cannot be had. */
export const peerDaemon = () => {
  try {
    const command = peerCommand();
    return {command, env: {PATH: pathWith(command[0]), ZERO_ADMIN_PASSWORD: 'x', ZERO_LOG_LEVEL: 'error'}};
  } catch (error) {
    console.error(`the stock server cannot be had: ${(error as Error).message}`);
    return null;
  }
};

/** A PATH on which the peer's children find the same Node. */
export const pathWith = (node: string): string => `${dirname(node)}:${process.env['PATH'] ?? ''}`;

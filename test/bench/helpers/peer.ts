import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {dirname, join, resolve} from 'node:path';

const CACHE = 'node_modules/.cache/zerostream-bench/node-24';

/**
 * The command of the peer's server: the npm package's own, on Node 24, which npm brings on first use. Only its outside is
 * used: options, ports, protocol.
 */
export const peerCommand = (): readonly [string, ...string[]] => {
  const node = resolve(CACHE, 'node_modules/node/bin/node');
  if (!existsSync(node)) {
    mkdirSync(CACHE, {recursive: true});
    writeFileSync(join(CACHE, 'package.json'), '{"private": true, "allowScripts": {"node": true}}');
    // What of npm's settings comes from the run around it does not apply there.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
    execFileSync('npm', ['install', '--no-audit', '--no-fund', 'node@24'], {
      cwd: CACHE,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  return [node, resolve('node_modules/@rocicorp/zero/out/zero/src/cli.js')];
};

/** A PATH on which the peer's children find the same Node. */
export const pathWith = (node: string): string => `${dirname(node)}:${process.env['PATH'] ?? ''}`;

import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {freePort} from '../helpers/postgres-server.ts';
import {startProxy} from '../helpers/tcp-proxy.ts';
import {until} from '../helpers/until.ts';

const ROWS = 200_000;
const TABLE = `CREATE TABLE much (id int PRIMARY KEY, v text);
  INSERT INTO much SELECT i, repeat('v', 300) FROM generate_series(1, ${ROWS}) i; ANALYZE much`;

// A real terminal, made by util-linux's script.
test.skipIf(!existsSync('/usr/bin/script'))(
  'an initial sync shows a bar on a terminal',
  async () => {
    await using db = await createDatabase(TABLE);
    // Slow enough for a bar to be worth it.
    await using proxy = await startProxy(db.url, {bytesPerSecond: 15_000_000});
    const dir = await mkdtemp(join(tmpdir(), 'zerostream-progress-'));
    const port = await freePort(1);
    const child = spawn(
      'script',
      ['-qfec', `stty cols 160; exec ${process.execPath} dist/zerostream.js`, '/dev/null'],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: {
          PATH: process.env['PATH'],
          NODE_ENV: 'development',
          ZERO_UPSTREAM_DB: proxy.url,
          ZERO_CHANGE_DB: db.url,
          ZERO_CVR_DB: db.url,
          ZERO_APP_ID: db.appID,
          ZERO_PORT: String(port),
          ZERO_REPLICA_FILE: join(dir, 'replica.db'),
          ZERO_NUM_SYNC_WORKERS: '1',
          ZERO_ENABLE_TELEMETRY: 'false',
        },
      },
    );
    let out = '';
    child.stdout.on('data', chunk => (out += chunk));
    const closed = new Promise(resolve => child.once('close', resolve));
    try {
      const seen = () => [
        ...out.matchAll(/initial sync [█░]+ (\d+)\/(\d+) rows · \d+ rows\/s · \S+ left · much/g),
      ];
      await until(() => new Set(seen().map(([, rows]) => rows)).size > 2, 'the bar moves');
      proxy.unlimit();
      await until(() => out.includes('initial sync finished'), 'the sync is finished');
      const bars = seen();
      const [first, last] = [Number(bars[0]![1]), Number(bars.at(-1)![1])];
      expect(first).toBeLessThan(last);
      expect(Math.abs(Number(bars[0]![2]) - ROWS)).toBeLessThan(ROWS / 10);
    } finally {
      child.stdin.write('\x03');
      await closed;
      await rm(dir, {recursive: true, force: true});
    }
  },
  90_000,
);

test('elsewhere it is told in lines', async () => {
  await using db = await createDatabase(TABLE);
  await using proxy = await startProxy(db.url, {bytesPerSecond: 8_000_000});
  await using daemon = await startDaemon({
    upstream: proxy.url,
    appID: db.appID,
    env: {ZERO_CHANGE_DB: db.url, ZERO_CVR_DB: db.url},
  });
  const printed = daemon.output();
  expect(printed).toMatch(/initial sync started/);
  expect(printed).toMatch(/rows=\d+ estimatedRows=\d+ bytes=\d+ rowsPerSecond=\d+ .*at=much initial sync\n/);
  // With the one row of permissions.
  expect(printed).toMatch(new RegExp(`rows=${ROWS + 1} .*rowsPerSecond=\\d+ initial sync finished`));
}, 90_000);

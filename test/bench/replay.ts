import {spawn} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import pg from 'pg';
import {startPostgres} from '../helpers/postgres-server.ts';

/**
 * `node test/run.mjs test/bench/replay.ts [--megabytes 100]`: records a stream of that size from PostgreSQL, replays it
 * by the built `dist/fixture-replay.js`, and prints wall clock, CPU time and peak memory of both. Linux only (memory is read from /proc).
 */
const {values} = parseArgs({options: {megabytes: {type: 'string', default: '100'}}});
const bytes = Number(values.megabytes) * 1e6;
const dir = mkdtempSync(join(tmpdir(), 'zs-bench-replay-'));
const server = await startPostgres();

/** One row of the result: what ran, how long, its CPU time, and the most memory it had (VmHWM, MB). */
const run = async (what: string, ...argv: string[]) => {
  const started = performance.now();
  const child = spawn(process.execPath, ['dist/fixture-replay.js', ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', chunk => {
    printed += chunk;
  });
  let peakKb = 0;
  let cpuSeconds = 0;
  const sample = setInterval(() => {
    try {
      const [, kb] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      peakKb = Math.max(peakKb, Number(kb ?? 0));
      // User and system time in ticks of 10 ms, counted after the name in parentheses.
      const ticks = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      cpuSeconds = (Number(ticks[11]) + Number(ticks[12])) / 100;
    } catch {}
  }, 20);
  const code = await new Promise(resolve => child.once('exit', resolve));
  clearInterval(sample);
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(
    `${what.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${cpuSeconds.toFixed(1).padStart(5)} s CPU  ${(peakKb / 1024).toFixed(0).padStart(5)} MB peak  exit ${code}\n`,
  );
  return printed;
};

const client = new pg.Client(server.url);
await client.connect();
try {
  await client.query(`CREATE TABLE item (id bigint PRIMARY KEY, title text NOT NULL, body text, n int, at timestamptz);
    CREATE INDEX item_n ON item (n); CREATE PUBLICATION p FOR TABLE item`);
  let ended = false;
  const fixture = join(dir, 'large');
  const recording = run(
    'record',
    'record',
    '--upstream',
    server.url,
    '--publication',
    'p',
    '--out',
    fixture,
    '--max-bytes',
    String(bytes),
  );
  void recording.finally(() => {
    ended = true;
  });
  // Small transactions, and every tenth one of 20,000 rows.
  for (let i = 0; !ended; i++) {
    const count = i % 10 ? 10 : 20_000;
    await client.query(
      `INSERT INTO item SELECT ${i} * 100000 + n, 'item ' || n, repeat(md5(n::text), 4), n % 1000, now() FROM generate_series(1, ${count}) n`,
    );
    await client.query(
      `UPDATE item SET n = n + 1 WHERE id >= ${i} * 100000 AND id < ${i} * 100000 + ${count / 10}`,
    );
  }
  process.stdout.write(await recording);
  process.stdout.write(`wal.ndjson: ${(statSync(join(fixture, 'wal.ndjson')).size / 1e6).toFixed(1)} MB\n`);
  process.stdout.write(await run('replay', fixture));
  process.stdout.write(await run('replay, not compared (--until)', '--until', 'FFFFFFFF/0', fixture));
  await run('redact', 'redact', fixture, join(dir, 'redacted'));
} finally {
  await client.end();
  await server.stop();
  rmSync(dir, {recursive: true, force: true});
}
process.exit(0);

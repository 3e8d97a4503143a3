import {spawn} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import pg from 'pg';
import {startDaemon} from '../helpers/daemon.ts';
import {startPostgres} from '../helpers/postgres-server.ts';

/**
 * `npm run bench:replay -- [--megabytes 100] [--rate 0] [--keep folder]`: a server follows a database that one client writes to, as fast as it
 * can or `rate` transactions a second; it is recorded until the recording has that size. Then the recording is replayed by
 * the built `dist/fixture-replay.js`. Prints wall clock, CPU time and peak memory of each. Linux only (memory is read from
 * /proc).
 */
const {values} = parseArgs({
  options: {
    megabytes: {type: 'string', default: '100'},
    rate: {type: 'string', default: '0'},
    keep: {type: 'string'},
  },
});
const bytes = Number(values.megabytes) * 1e6;
const rate = Number(values.rate);
const dir = mkdtempSync(join(tmpdir(), 'zs-bench-replay-'));
const postgres = await startPostgres();

/** One row of the result: what ran, how long, its CPU time, and the most memory it had (VmHWM, MB). */
const run = async (what: string, argv: readonly string[], onEnd: () => void = () => {}) => {
  const started = performance.now();
  const child = spawn(process.execPath, ['dist/fixture-replay.js', ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  let began = 0;
  let ended = 0;
  child.stdout.on('data', chunk => {
    printed += chunk;
    // What a recording does beside recording, the first replay that makes its expectations, is not counted.
    if (!began && printed.includes('recording;')) began = performance.now();
    if (!ended && printed.includes('recording ended')) {
      ended = performance.now();
      onEnd();
    }
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
  const seconds = ((ended || performance.now()) - (began || started)) / 1000;
  process.stdout.write(
    `${what.padEnd(28)} ${seconds.toFixed(1).padStart(6)} s  ${cpuSeconds.toFixed(1).padStart(5)} s CPU  ${(peakKb / 1024).toFixed(0).padStart(5)} MB peak  exit ${code}\n`,
  );
  return {printed, seconds};
};

const client = new pg.Client(postgres.url);
await client.connect();
let code = 1;
try {
  await client.query(`CREATE TABLE item (id bigint PRIMARY KEY, title text NOT NULL, body text, n int, at timestamptz);
    CREATE INDEX item_n ON item (n)`);
  await using daemon = await startDaemon({upstream: postgres.url, appID: 'replaybench', dir});
  let ended = false;
  const fixture = values.keep ?? join(dir, 'large');
  const recording = run(
    'record under load',
    ['record', '--server', daemon.url, '--out', fixture, '--max-bytes', String(bytes)],
    () => {
      ended = true;
    },
  );
  const writingSince = performance.now();
  for (let i = 0; !ended; i++) {
    // Small transactions, and every tenth one large; at a given rate all are small.
    const count = rate || i % 10 ? 10 : 20_000;
    await client.query(
      `INSERT INTO item SELECT ${i} * 100000::bigint + n, 'item ' || n, repeat(md5(n::text), 4), n % 1000, now() FROM generate_series(1, ${count}) n`,
    );
    await client.query(
      `UPDATE item SET n = n + 1 WHERE id >= ${i} * 100000::bigint AND id < ${i} * 100000::bigint + ${Math.max(2, count / 10)}`,
    );
    const ahead = rate ? writingSince + ((2 * i) / rate) * 1000 - performance.now() : 0;
    if (ahead > 5) await new Promise(resolve => setTimeout(resolve, ahead));
  }
  const recorded = await recording;
  process.stdout.write(recorded.printed);
  await daemon.stop();
  process.stdout.write(`wal.ndjson: ${(statSync(join(fixture, 'wal.ndjson')).size / 1e6).toFixed(1)} MB\n`);
  const replayed = await run('replay', [fixture]);
  process.stdout.write(replayed.printed);
  await run('replay, not compared (--until)', ['--until', 'FFFFFFFF/0', fixture]);
  await run('redact', ['redact', fixture, join(dir, 'redacted')]);
  process.stdout.write(
    `recorded in ${recorded.seconds.toFixed(1)} s, replayed in ${replayed.seconds.toFixed(1)} s: ${(recorded.seconds / replayed.seconds).toFixed(1)} times as fast\n`,
  );
  code = replayed.seconds < recorded.seconds ? 0 : 1;
} finally {
  await client.end();
  await postgres.stop();
  rmSync(dir, {recursive: true, force: true});
}
process.exit(code);

import {copyFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createQueryRegistry} from '../../src/ivm/query-registry.ts';
import {silentLog} from '../../src/observe/log.ts';
import {lexi} from '../../src/pg/lsn.ts';
import {ChangeLogWriter, rowKeyText} from '../../src/replica/log-changes.ts';
import {openWriter} from '../../src/replica/open.ts';
import {byId, five, ten} from './engine-queries.ts';
import {buildReplica} from './engine-replica.ts';

/** Steps in process: `node test/run.mjs test/bench/engine-advance.ts [replica file]`. Time of `advance()` per change. */
const source = process.argv[2] ?? join(tmpdir(), 'zs-engine-bench.db');
buildReplica(source, 1);
const file = join(tmpdir(), `zs-engine-advance-${process.pid}.db`);
copyFileSync(source, file);
const db = openWriter(file);
const log = new ChangeLogWriter(db);
let version = 1_000_000n;

const write = (table: string, id: string, sets: string, ...values: (string | number)[]) => {
  version++;
  db.exec('BEGIN IMMEDIATE');
  log.begin(lexi(version));
  db.prepare(`UPDATE "${table}" SET ${sets}, _0_version = ? WHERE id = ?`).run(...values, lexi(version), id);
  log.set(table, rowKeyText(['id'], [id]));
  db.prepare('UPDATE "_zero.replicationState" SET stateVersion = ?').run(lexi(version));
  db.exec('COMMIT');
};
const open = () =>
  createQueryRegistry({replicaFile: file, appID: 'zero', log: silentLog, slowHydrateMs: 1e9, lingerRows: 0});
const keys = {issue_label: ['issue', 'label']};
const issue = (n: number) => `i${String(n).padStart(7, '0')}`;

const measure = (
  registry: ReturnType<typeof open>,
  name: string,
  change: (i: number) => void,
  rounds = 60,
) => {
  const times: number[] = [];
  let diffs = 0;
  const cpu = process.cpuUsage();
  for (let i = 0; i < rounds; i++) {
    change(i);
    const started = performance.now();
    const epoch = registry.advance();
    times.push(performance.now() - started);
    diffs += epoch?.diffs.length ?? 0;
  }
  times.sort((a, b) => a - b);
  const {user, system} = process.cpuUsage(cpu);
  console.log(
    `${name.padEnd(44)} p50 ${times[rounds >> 1]!.toFixed(2).padStart(7)} ms  p99 ${times[Math.floor(rounds * 0.99)]!.toFixed(2).padStart(7)}  graphs told ${diffs / rounds}  cpu with write ${((user + system) / 1000 / rounds).toFixed(2)}`,
  );
};

const small = open();
const graphs = [];
for (const ast of ten(1)) graphs.push(await small.acquire(ast, keys));
measure(small, 'ten queries: title of an issue in no result', i =>
  write('issue', issue(50_000 + i), 'title = ?', `t${i}`),
);
measure(small, 'ten queries: title of an issue in a window', i =>
  write('issue', issue(1 + (i % 3) * 200), 'title = ?', `t${i}`),
);
measure(small, 'ten queries: updated of an issue of the project', i =>
  write('issue', issue(1 + i * 200), 'updated = ?', 1.8e12 + i),
);
measure(small, 'ten queries: priority and open', i =>
  write('issue', issue(199_000 + i), 'priority = ?, open = ?', i % 5, i % 2),
);
measure(small, 'ten queries: status', i =>
  write('issue', issue(199_900 + i), 'status = ?', i % 2 ? 'in_progress' : 'done'),
);
measure(small, 'ten queries: a comment', i =>
  write('comment', `c${String(i * 10).padStart(7, '0')}`, 'body = ?', `b${i}`),
);
for (const g of small.inspectGraphs())
  if (g.advanceMs > 0)
    console.log(
      '  ',
      g.id,
      g.advances,
      (g.advanceMs / g.advances).toFixed(2),
      JSON.stringify(g.ast).slice(0, 90),
    );
small.close();

global.gc?.();
const heap = () => {
  global.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().external;
};
const large = open();
const before = heap();
const started = performance.now();
for (let i = 0; i < 5000; i++) await large.acquire(byId(i), keys);
console.log(
  `5000 graphs id = ?: ${(performance.now() - started).toFixed(0)} ms, ${((heap() - before) / 5000 / 1024).toFixed(1)} KiB each`,
);
measure(large, '5000 id = ?: a change of none', i => write('issue', issue(50_000 + i), 'title = ?', `t${i}`));
measure(large, '5000 id = ?: a change of one', i => write('issue', issue(i * 50), 'title = ?', `t${i}`));
for (let i = 0; i < 200; i++) for (const ast of five(i)) await large.acquire(ast, keys);
measure(large, '… and 200 × five queries: a project row', i =>
  write('project', 'p0001', 'name = ?', `t${i}`),
);
large.close();
db.close();
for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, {force: true});

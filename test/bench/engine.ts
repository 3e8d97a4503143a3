import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createQueryRegistry} from '../../src/ivm/query-registry.ts';
import {silentLog} from '../../src/observe/log.ts';
import type {AST} from '../../src/zql/ast.ts';
import {five, T5, T6, T7, T8, T9, ten} from './engine-queries.ts';
import {buildReplica} from './engine-replica.ts';

/** Hydration in process, without a server: `node test/run.mjs test/bench/engine.ts [replica file]`. Rounds of cold queries. */
const file = process.argv[2] ?? join(tmpdir(), 'zs-engine-bench.db');
buildReplica(file, 1);
const keys = {
  user: ['id'],
  project: ['id'],
  issue: ['id'],
  comment: ['id'],
  label: ['id'],
  issue_label: ['issue', 'label'],
};
const ROUNDS = 15;
const registry = createQueryRegistry({
  replicaFile: file,
  appID: 'zero',
  log: silentLog,
  slowHydrateMs: 1e9,
  yieldMs: 10,
  usePlanner: true,
  lingerRows: 0,
});

const measure = async (name: string, make: (i: number) => AST) => {
  const times: number[] = [];
  const cpu = process.cpuUsage();
  let rows = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const started = performance.now();
    const graph = await registry.acquire(make(i * 7 + 1), keys);
    times.push(performance.now() - started);
    rows = graph.size;
    registry.release(graph);
  }
  const {user, system} = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(10)} p50 ${times[ROUNDS >> 1]!.toFixed(1).padStart(7)} ms  max ${times.at(-1)!.toFixed(1).padStart(7)}  cpu ${((user + system) / 1000 / ROUNDS).toFixed(1).padStart(6)}  rows ${rows}`,
  );
};

await measure('T5', T5);
await measure('T6', T6);
await measure('T7', T7);
await measure('T8', T8);
await measure('T9', T9);
for (let k = 0; k < 10; k++) await measure(`ten[${k}]`, i => ten(i)[k]!);
void five;
registry.close();

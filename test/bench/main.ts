import {mkdtempSync, rmSync} from 'node:fs';
import {cpus, loadavg, tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {loadIssueTracker} from './data/load.ts';
import {totalRows} from './data/rows.ts';
import {mutations} from './groups/mutations.ts';
import {reconnect} from './groups/reconnect.ts';
import type {Kind} from './helpers/bench-server.ts';
import {watchInterrupts} from './helpers/interrupt.ts';
import {startBenchPostgres} from './helpers/postgres.ts';
import {hotFunctions, profilingEnv} from './helpers/profile.ts';
import {renderTable} from './helpers/table.ts';
import {type FigureID, TARGETS} from './helpers/targets.ts';
import {type Bench, World} from './helpers/world.ts';
import {runBootstrap} from './load/bootstrap.ts';
import {runLoad} from './load/load.ts';
import {changes} from './queries/changes.ts';
import {fanOut} from './queries/fan-out.ts';
import {hydration} from './queries/hydration.ts';
import {points} from './queries/points.ts';
import {large} from './replication/large.ts';
import {rates} from './replication/rates.ts';
import {start} from './start/start.ts';

/** What is measured together, by the name of its folder. */
const SUITES: Readonly<Record<string, readonly Bench[]>> = {
  start: [start],
  replication: [rates, large],
  queries: [hydration, changes, fanOut, points],
  groups: [mutations, reconnect],
};
const BENCHES = Object.values(SUITES).flat();

const suiteLine = ([suite, benches]: [string, readonly Bench[]]): string =>
  `  ${suite.padEnd(13)}${benches.map(({name, figures}) => `${name} (${figures.join(', ')})`).join('; ')}`;

const HELP = `Usage: npm run bench -- [suite, bench or figure …] [options]
       npm run bench -- data <postgres URL>   only load the issue tracker into an empty database
       npm run bench -- load                  unit costs of many client groups, and a capacity model checked against them
       npm run bench -- bootstrap             how other nodes that fetch the replica slow down changes

Suites with their benches and figures; all of them by default:
${Object.entries(SUITES).map(suiteLine).join('\n')}

  --ours-only      do not measure the peer
  --peer-only      measure the peer alone
  --scale N        size of the data; 1 is 200,000 issues and 904,400 rows in all (default 1)
  --rounds N       each figure is the median of so many rounds (default 3)
  --profile        print where the processes of our server spent their time (slows them a little)
  --groups N       load: groups on one view-syncer by which the model is made; checked with N and 2 N on each (default 500)
  --nodes N        load: view-syncers on which it is checked (default 3); bootstrap: nodes that fetch at once
  --workers N      load: sync workers of each view-syncer (default 1)
  --no-build       measure the dist folder as it is
`;

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    scale: {type: 'string', default: '1'},
    rounds: {type: 'string', default: '3'},
    'ours-only': {type: 'boolean', default: false},
    'peer-only': {type: 'boolean', default: false},
    groups: {type: 'string', default: '500'},
    nodes: {type: 'string', default: '3'},
    workers: {type: 'string', default: '1'},
    profile: {type: 'boolean', default: false},
    help: {type: 'boolean', short: 'h', default: false},
    'no-build': {type: 'boolean', default: false},
  },
});

const say = (line: string): void =>
  void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${line}\n`);

/** `T10` stands for `T10 p50` and `T10 p99`; no name at all for everything. */
const figuresOf = (names: readonly string[]): ReadonlySet<FigureID> => {
  const all = Object.keys(TARGETS) as FigureID[];
  if (names.length === 0) return new Set(all);
  return new Set(
    names.flatMap(name => {
      const benches = SUITES[name] ?? BENCHES.filter(one => one.name === name);
      const found = benches.length
        ? benches.flatMap(({figures}) => figures)
        : all.filter(id => id === name || id.split(/[ /]/)[0] === name);
      if (found.length === 0) throw new Error(`There is no suite, bench or figure named ${name}.\n${HELP}`);
      return found;
    }),
  );
};

const run = async (): Promise<void> => {
  const wanted = figuresOf(positionals);
  const kinds = (['ours', 'peer'] as const satisfies Kind[]).filter(kind =>
    kind === 'ours' ? !values['peer-only'] : !values['ours-only'],
  );
  const scale = Number(values.scale);
  const postgres = await startBenchPostgres();
  const profiles = values.profile ? mkdtempSync(join(tmpdir(), 'zerostream-bench-profiles-')) : null;
  const world = new World({
    postgres,
    scale,
    rounds: Number(values.rounds),
    wanted,
    log: say,
    oursEnv: profiles ? profilingEnv(profiles) : {},
  });
  const failures: string[] = [];
  try {
    for (const bench of BENCHES.filter(one => one.figures.some(id => wanted.has(id))))
      for (const kind of kinds) {
        say(`${bench.name}: ${kind}`);
        await bench.run(world, kind).catch((error: unknown) => {
          failures.push(`${bench.name} (${kind}): ${(error as Error).message}`);
          say(failures.at(-1)!);
        });
        if (profiles) for (const line of hotFunctions(profiles)) say(line);
      }
  } finally {
    await postgres.stop();
    if (profiles) rmSync(profiles, {recursive: true, force: true});
  }
  const cpu = cpus();
  const loads = loadavg().map(load => load.toFixed(1));
  process.stdout.write(
    [
      `\n${new Date().toISOString().slice(0, 16)}Z, ${cpu.length} × ${cpu[0]?.model ?? 'CPU'}, Node ${process.versions.node}, PostgreSQL ${postgres.version},`,
      `scale ${scale} (${totalRows(world.counts)} rows), median of ${world.rounds} rounds, load average ${loads.join(' ')}\n`,
      renderTable(world.results),
      ...failures.map(failure => `failed: ${failure}`),
      '',
    ].join('\n'),
  );
  if (failures.length > 0) process.exitCode = 1;
};

const aside = async (work: (world: World) => Promise<string>): Promise<void> => {
  const postgres = await startBenchPostgres();
  const oursEnv = {ZERO_NUM_SYNC_WORKERS: values.workers};
  const world = new World({
    postgres,
    scale: Number(values.scale),
    rounds: 1,
    wanted: new Set(),
    log: say,
    oursEnv,
  });
  try {
    process.stdout.write(`\n${await work(world)}`);
  } finally {
    await postgres.stop();
  }
};

const main = async (): Promise<void> => {
  watchInterrupts();
  const [what, url] = positionals;
  if (values.help) return void process.stdout.write(HELP);
  const nodes = Number(values.nodes);
  if (what === 'load') return aside(world => runLoad(world, {groups: Number(values.groups), nodes}));
  if (what === 'bootstrap') return aside(world => runBootstrap(world, nodes));
  if (what !== 'data') return run();
  if (!url) throw new Error(HELP);
  const startedAt = Date.now();
  const counts = await loadIssueTracker(url, Number(values.scale));
  process.stdout.write(`${totalRows(counts)} rows in ${Date.now() - startedAt} ms\n`);
};

main().catch((error: unknown) => {
  process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
  process.exitCode = 1;
});

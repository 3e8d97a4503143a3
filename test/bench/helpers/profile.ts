import {readdirSync, readFileSync, rmSync} from 'node:fs';
import {basename, join, resolve} from 'node:path';

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {readonly functionName: string; readonly url: string; readonly lineNumber: number};
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const TOP = 14;
const IDLE = new Set(['(idle)', '(program)', '(root)']);

/** The environment in which every process of a server writes a CPU profile to `dir` when it ends. */
export const profilingEnv = (dir: string): Record<string, string> => ({
  NODE_OPTIONS: `--require ${resolve('test/bench/helpers/write-profile.cjs')}`,
  ZS_BENCH_PROFILES: dir,
});

/** The functions in which each profiled process spent most time itself, then forgets the profiles. */
export const hotFunctions = (dir: string): string[] =>
  readdirSync(dir)
    .filter(name => name.endsWith('.cpuprofile'))
    .flatMap(name => {
      const profile = JSON.parse(readFileSync(join(dir, name), 'utf8')) as CpuProfile;
      rmSync(join(dir, name));
      return hottest(profile);
    });

const hottest = (profile: CpuProfile): string[] => {
  const frames = new Map(profile.nodes.map(node => [node.id, node.callFrame]));
  const self = new Map<string, number>();
  let busyUs = 0;
  for (const [i, id] of profile.samples.entries()) {
    const {functionName, url, lineNumber} = frames.get(id)!;
    if (IDLE.has(functionName)) continue;
    const us = profile.timeDeltas[i] ?? 0;
    const key = `${functionName || '(anonymous)'} ${url ? `${basename(url)}:${lineNumber + 1}` : 'native'}`;
    busyUs += us;
    self.set(key, (self.get(key) ?? 0) + us);
  }
  const top = [...self].sort((a, b) => b[1] - a[1]).slice(0, TOP);
  const entry = profile.nodes.find(({callFrame}) => /\/dist\/[a-z-]+\.js$/.test(callFrame.url));
  return [
    `profile of ${entry ? basename(entry.callFrame.url) : 'a process'}: ${Math.round(busyUs / 1000)} ms busy`,
    ...top.map(([key, us]) => `  ${((us / busyUs) * 100).toFixed(1).padStart(5)} %  ${key}`),
  ];
};

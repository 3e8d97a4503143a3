import {readdirSync, readFileSync} from 'node:fs';

/** Linux counts CPU in these ticks towards user space, where it does not tell what its scheduler knows to the nanosecond. */
const TICK_MS = 10;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

/** null: the process has ended. */
const statOf = (pid: number): Stat | null => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The command, field 2, may hold spaces; what follows its closing parenthesis is plain.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {pid, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12])};
  } catch {
    return null;
  }
};

/** The process and all its living descendants. */
const tree = (root: number): Stat[] => {
  const all = readdirSync('/proc').flatMap(name => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []));
  const children = groupByParent(all);
  const found = all.filter(stat => stat.pid === root);
  for (const stat of found) found.push(...(children.get(stat.pid) ?? []));
  return found;
};

const groupByParent = (all: readonly Stat[]): Map<number, Stat[]> => {
  const groups = new Map<number, Stat[]>();
  for (const stat of all) {
    const group = groups.get(stat.parent);
    if (group) group.push(stat);
    else groups.set(stat.parent, [stat]);
  }
  return groups;
};

/** CPU time, user and system, of the living threads of the tree's processes in ms. */
export const treeCpuMs = (root: number): number =>
  tree(root).reduce((sum, {pid, ticks}) => sum + (scheduledMs(pid) ?? ticks * TICK_MS), 0);

/** Of all threads of a process; null if the kernel does not keep such statistics. */
const scheduledMs = (pid: number): number | null => {
  try {
    let ns = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`))
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    return ns / 1e6;
  } catch {
    return null;
  }
};

/** Proportional set size of the tree in bytes: pages shared by its processes count once. */
export const treePssBytes = (root: number): number =>
  tree(root).reduce((sum, {pid}) => sum + pssBytes(pid), 0);

export const pssBytes = (pid: number): number => {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
};

/** Processes of the tree whose command line holds `text`. */
export const pidsOf = (root: number, text: string): number[] =>
  tree(root)
    .map(({pid}) => pid)
    .filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
      } catch {
        return false;
      }
    });

/** Samples until stopped; `stop` returns the highest sample. */
export const samplePeak = (sample: () => number, everyMs = 100): {stop(): number} => {
  let peak = sample();
  const timer = setInterval(() => {
    peak = Math.max(peak, sample());
  }, everyMs);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.max(peak, sample());
    },
  };
};

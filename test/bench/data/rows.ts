import {Random} from '../../helpers/random.ts';

/** Number of rows by table; all but the shape of a row depends on it. */
export interface Counts {
  readonly user: number;
  readonly project: number;
  readonly issue: number;
  readonly comment: number;
  readonly label: number;
  readonly issue_label: number;
}

/** At scale 1: 200,000 issues, 1,000 to a project, two comments and one or two labels each; 904,400 rows in all. */
export const countsAt = (scale: number): Counts => {
  const issue = Math.max(2000, Math.round(200_000 * scale));
  return {
    user: Math.max(40, Math.round(issue / 50)),
    project: Math.max(2, Math.round(issue / 1000)),
    issue,
    comment: issue * 2,
    label: Math.max(2, Math.round(issue / 1000)),
    issue_label: issue + Math.floor(issue / 2),
  };
};

export const totalRows = (counts: Counts): number => Object.values(counts).reduce((a, b) => a + b, 0);

const padded = (prefix: string, width: number) => (n: number) => prefix + String(n).padStart(width, '0');
/** Keys by number, from 0. */
export const userID = padded('u', 5);
export const projectID = padded('p', 4);
export const issueID = padded('i', 7);
export const commentID = padded('c', 7);
export const labelID = padded('l', 4);

export const STATUSES = ['backlog', 'todo', 'in_progress', 'review', 'done'] as const;
const ROLES = ['member', 'member', 'member', 'admin'] as const;
const AREAS = ['sync', 'editor', 'billing', 'search', 'mobile', 'import', 'export', 'login'] as const;
const WORDS = (
  'the page list view of an issue shows old rows after a slow network returns and then the user sees a blank line ' +
  'until reload because cache entry expires before its query result arrives while another tab writes to same table ' +
  'when filter changes order also jumps which surprises people with many open projects please fix this soon thanks'
).split(' ');

/** The first moment of the data: 2024-01-01, in epoch milliseconds. */
const START_MS = Date.UTC(2024, 0, 1);
const MINUTE_MS = 60_000;

type Field = string | number | boolean | null;
export type Row = readonly Field[];
type Table = keyof Counts;

/** Any row by its number, so that a bench can compute the answer it expects. Fields in the order of the DDL. */
export const rowOf: Readonly<Record<Table, (n: number, counts: Counts) => Row>> = {
  user: n => {
    const random = new Random(n ^ 0x1000_0000);
    return [userID(n), `User ${n}`, `user${n}@example.com`, random.pick(ROLES), random.chance(0.8)];
  },
  project: (n, counts) => {
    const random = new Random(n ^ 0x2000_0000);
    return [projectID(n), `Project ${n}`, userID(random.int(counts.user)), random.chance(0.1)];
  },
  issue: (n, counts) => {
    const random = new Random(n ^ 0x3000_0000);
    const created = START_MS + n * MINUTE_MS;
    const status = random.pick(STATUSES);
    const meta = {
      area: random.pick(AREAS),
      estimate: random.int(13),
      tags: [random.pick(WORDS), random.pick(WORDS)],
    };
    return [
      issueID(n),
      n + 1,
      text(random, 5),
      text(random, 26),
      status,
      random.int(5),
      projectID(n % counts.project),
      userID(random.int(counts.user)),
      random.chance(0.3) ? null : userID(random.int(counts.user)),
      new Date(created).toISOString(),
      new Date(created + random.int(90 * 24 * 60) * MINUTE_MS).toISOString(),
      JSON.stringify(meta),
      status !== 'done',
    ];
  },
  comment: (n, counts) => {
    const random = new Random(n ^ 0x4000_0000);
    const issue = n >> 1;
    return [
      commentID(n),
      issueID(issue),
      userID(random.int(counts.user)),
      text(random, 14),
      new Date(START_MS + (issue + random.int(10_000)) * MINUTE_MS).toISOString(),
    ];
  },
  label: n => [labelID(n), `${AREAS[n % AREAS.length]} ${n}`],
  // Issue n has a first label; every even one a second, half of all labels away from the first.
  issue_label: (n, counts) => {
    const second = n >= counts.issue;
    const issue = second ? (n - counts.issue) * 2 : n;
    const first = new Random(issue ^ 0x5000_0000).int(counts.label);
    return [issueID(issue), labelID(second ? (first + (counts.label >> 1)) % counts.label : first)];
  },
};

const text = (random: Random, words: number): string => {
  let out = random.pick(WORDS);
  for (let i = 1; i < words; i++) out += ` ${random.pick(WORDS)}`;
  return out;
};

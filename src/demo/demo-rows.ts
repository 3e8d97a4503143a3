import {describe, LABELS, NAMES, PROJECTS, REMARKS, titleOf} from './demo-words.ts';

type Row = Readonly<Record<string, string | number | null>>;

/** A table's name and its rows, in the order in which references allow to insert them. */
export type DemoRows = readonly (readonly [table: string, rows: readonly Row[]])[];

const ISSUES = 2400;
const COLORS = ['#2f6fde', '#0f8a6c', '#a3541b', '#8b3fc2', '#b8324f', '#4b6a1f', '#187f9c', '#6a5acd'];
const DAY_MS = 86_400_000;

/** Some nine thousand rows, the same for the same `nowMs`: the times are spread over the year before it. */
export const demoRows = (nowMs: number): DemoRows => {
  const random = mulberry32(20);
  const int = (n: number) => Math.floor(random() * n);
  const pick = <T>(items: readonly T[]): T => items[int(items.length)]!;
  const iso = (ms: number) => new Date(ms).toISOString();

  const people = NAMES.map((name, i) => ({id: `u${i + 1}`, name, color: COLORS[i % COLORS.length]!}));
  const projects = PROJECTS.map(([key, name], i) => ({
    id: `p${i + 1}`,
    key,
    name,
    lead_id: people[i % people.length]!.id,
  }));
  const labels = LABELS.map(([name, color], i) => ({id: `l${i + 1}`, name, color}));

  const issues: Row[] = [];
  const comments: Row[] = [];
  const issueLabels: Row[] = [];
  for (let num = 1; num <= ISSUES; num++) {
    // Squared: most of what there is, is recent.
    const created = nowMs - 365 * DAY_MS * (1 - num / ISSUES) ** 2 - int(DAY_MS) - 60_000;
    const updated = Math.min(created + random() ** 3 * (nowMs - created), nowMs - 60_000);
    const id = `i${num}`;
    const age = (nowMs - created) / DAY_MS;
    issues.push({
      id,
      num,
      project_id: pick(projects).id,
      title: titleOf(pick, num),
      description: describe(pick),
      status: random() < Math.min(0.85, age / 90) ? 'done' : random() < 0.3 ? 'doing' : 'open',
      priority: [1, 2, 2, 2, 3, 3, 4][int(7)]!,
      creator_id: pick(people).id,
      assignee_id: random() < 0.75 ? pick(people).id : null,
      parent_id: num > 50 && random() < 0.1 ? `i${num - 1 - int(40)}` : null,
      created: iso(created),
      updated: iso(updated),
    });
    const first = int(REMARKS.length);
    for (let n = int(4); n > 0; n--)
      comments.push({
        id: `c${comments.length + 1}`,
        issue_id: id,
        author_id: pick(people).id,
        body: REMARKS[(first + n * 3) % REMARKS.length]!,
        created: iso(created + random() * (updated - created)),
      });
    const chosen = new Set(Array.from({length: int(3)}, () => pick(labels).id));
    for (const label of chosen) issueLabels.push({issue_id: id, label_id: label});
  }
  return [
    ['person', people],
    ['project', projects],
    ['label', labels],
    ['issue', issues],
    ['comment', comments],
    ['issue_label', issueLabels],
  ];
};

/** A small seeded generator; in [0, 1). */
const mulberry32 = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

import type {Random} from '../helpers/random.ts';

const STATUS = ['todo', 'doing', 'review', 'done'];
const WORDS = [
  'alpha',
  'Beta',
  'gamma',
  'Delta_x',
  '100%',
  'épsilon',
  'zeta😀',
  'Ω mega',
  "o'neil",
  'back\\slash',
];

/** Ids are few, so that random statements hit, collide and repeat. */
const USERS = 12;
const PROJECTS = 6;
const ISSUES = 60;
const COMMENTS = 120;
const LABELS = 6;

const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`);
const maybe = (random: Random, value: string, probability = 0.3) =>
  random.chance(probability) ? null : value;
const id = (prefix: string, random: Random, n: number) => `${prefix}${random.int(n)}`;
const words = (random: Random) => `${random.pick(WORDS)} ${random.pick(WORDS)}`;
const number = (random: Random, n: number) => (random.chance(0.25) ? 'NULL' : String(random.int(n)));
const real = (random: Random) => (random.chance(0.3) ? 'NULL' : String(random.int(40) / 4));
const bool = (random: Random) => (random.chance(0.5) ? 'true' : 'false');
const time = (random: Random) =>
  `'2024-01-0${1 + random.int(9)}T00:00:0${random.int(10)}.${random.int(1000)}Z'`;
const meta = (random: Random) =>
  random.pick([
    'NULL',
    `'{"a": [1, null, "x"], "b": {"c": ${random.int(9)}}}'`,
    `'"text"'`,
    `'${random.int(99)}'`,
    `'[]'`,
  ]);

const row: Record<string, (random: Random, i: number) => string> = {
  user: (r, i) => `('u${i}', ${text(words(r))}, ${number(r, 60)}, ${bool(r)})`,
  project: (r, i) => `('p${i}', ${text(words(r))}, ${text(maybe(r, id('u', r, USERS)))}, ${real(r)})`,
  issue: (r, i) =>
    `('i${i}', ${r.int(30)}, ${text(words(r))}, '${r.pick(STATUS)}', ${real(r)}, ${bool(r)}, '${id('p', r, PROJECTS)}', ` +
    `'${id('u', r, USERS)}', ${text(maybe(r, id('u', r, USERS)))}, ${text(maybe(r, id('i', r, ISSUES), 0.5))}, ${time(r)}, ${meta(r)})`,
  comment: (r, i) =>
    `('c${i}', '${id('i', r, ISSUES)}', '${id('u', r, USERS)}', ${text(words(r))}, ${number(r, 10)})`,
  label: (r, i) => `('l${i}', ${text(words(r))})`,
};

const size: Record<string, number> = {
  user: USERS,
  project: PROJECTS,
  issue: ISSUES,
  comment: COMMENTS,
  label: LABELS,
};
const quoted = (table: string) => `"${table}"`;

/** Statements that fill all tables to about two thirds of their ids. */
export const initialRows = (random: Random): string[] => {
  const statements: string[] = [];
  for (const [table, n] of Object.entries(size))
    for (let i = 0; i < n; i++)
      if (random.chance(0.67))
        statements.push(`INSERT INTO ${quoted(table)} VALUES ${row[table]!(random, i)}`);
  for (let i = 0; i < ISSUES; i++)
    for (let l = 0; l < LABELS; l++)
      if (random.chance(0.2)) statements.push(`INSERT INTO issue_label VALUES ('i${i}', 'l${l}')`);
  return statements;
};

const update: Record<string, (random: Random) => string> = {
  user: r => r.pick([`name = ${text(words(r))}`, `age = ${number(r, 60)}`, `active = NOT active`]),
  project: r => r.pick([`owner_id = ${text(maybe(r, id('u', r, USERS)))}`, `budget = ${real(r)}`]),
  issue: r =>
    r.pick([
      `status = '${r.pick(STATUS)}'`,
      `rank = ${real(r)}, num = ${r.int(30)}`,
      `open = NOT open`,
      `parent_id = ${text(maybe(r, id('i', r, ISSUES), 0.4))}`,
      `project_id = '${id('p', r, PROJECTS)}', updated = ${time(r)}`,
      `assignee_id = ${text(maybe(r, id('u', r, USERS)))}`,
      `title = ${text(words(r))}, meta = ${meta(r)}`,
    ]),
  comment: r =>
    r.pick([`issue_id = '${id('i', r, ISSUES)}'`, `score = ${number(r, 10)}`, `text = ${text(words(r))}`]),
  label: r => `name = ${text(words(r))}`,
};

const statement = (random: Random): string => {
  const table = random.pick([
    'issue',
    'issue',
    'issue',
    'comment',
    'comment',
    'user',
    'project',
    'label',
    'issue_label',
  ]);
  if (table === 'issue_label') {
    const key = `('i${random.int(ISSUES)}', 'l${random.int(LABELS)}')`;
    return random.chance(0.5)
      ? `INSERT INTO issue_label VALUES ${key} ON CONFLICT DO NOTHING`
      : `DELETE FROM issue_label WHERE (issue_id, label_id) = ${key}`;
  }
  const i = random.int(size[table]!);
  const where = `WHERE id = '${table === 'user' ? 'u' : table[0]}${i}'`;
  const kind = random.next();
  if (kind < 0.3)
    return `INSERT INTO ${quoted(table)} VALUES ${row[table]!(random, i)} ON CONFLICT DO NOTHING`;
  if (kind < 0.5) return `DELETE FROM ${quoted(table)} ${where}`;
  if (kind < 0.95) return `UPDATE ${quoted(table)} SET ${update[table]!(random)} ${where}`;
  return `UPDATE ${quoted(table)} SET ${update[table]!(random)} WHERE id < '${table === 'user' ? 'u' : table[0]}${random.int(9)}'`;
};

/** One transaction over several tables: 1–15 statements, and the tick. */
export const randomTransaction = (random: Random): string[] => [
  ...Array.from({length: 1 + random.int(15)}, () => statement(random)),
  `UPDATE tick SET n = n + 1`,
];

import type pg from 'pg';
import {type Counts, commentID, issueID, labelID, STATUSES, userID} from '../../bench/data/rows.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import type {Random} from '../../helpers/random.ts';
import type {Weather} from './visitor.ts';

/** Writes come no faster than this. */
const PAUSE_MS = 25;
/** A column comes and goes once in so many writes. */
const SCHEMA_CYCLE = 400;
/** A transaction of many MB comes once in so many writes. */
const BURST_CYCLE = 250;

/** Changes what the visitors' queries look at, and from time to time the schema, until it is over; not while it is quiet. */
export const write = async (
  db: pg.Client,
  random: Random,
  counts: Counts,
  weather: Weather,
): Promise<void> => {
  for (let n = 0; !weather.over; n++) {
    while (weather.quiet && !weather.over) await sleep(PAUSE_MS);
    await db.query(change(n, random, counts));
    if (n % SCHEMA_CYCLE === 150) await db.query('ALTER TABLE issue ADD COLUMN IF NOT EXISTS extra int');
    if (n % SCHEMA_CYCLE === 350) await db.query('ALTER TABLE issue DROP COLUMN IF EXISTS extra');
    if (n % BURST_CYCLE === 100) for (const statement of burst(n, random, counts)) await db.query(statement);
    await sleep(random.int(PAUSE_MS));
  }
};

/** Leaves the first issue alone: it is the witness. */
const change = (n: number, random: Random, counts: Counts): string => {
  const id = issueID(2 + random.int(counts.issue - 3));
  const where = `WHERE id = '${id}'`;
  return random.pick([
    `UPDATE issue SET status = '${random.pick(STATUSES)}', updated = now() ${where}`,
    `UPDATE issue SET title = 'many ✂️ ${n}', updated = now() WHERE num % 50 = ${random.int(50)} AND id <> '${issueID(1)}'`,
    `UPDATE issue SET title = 'one 🧵 ${n}' ${where}`,
    `UPDATE issue SET project = (SELECT project FROM issue ORDER BY random() LIMIT 1), updated = now() ${where}`,
    `DELETE FROM issue_label WHERE issue = '${id}'`,
    `INSERT INTO issue_label (issue, label) VALUES ('${id}', '${labelID(random.int(40))}') ON CONFLICT DO NOTHING`,
    `DELETE FROM comment WHERE issue = '${id}'`,
    `UPDATE comment SET author = '${userID(random.int(40))}' WHERE issue = '${id}'`,
  ]);
};

/** One transaction of some ten MB: values that PostgreSQL keeps beside the row, one that is large by itself, and a schema change between them. */
const burst = (n: number, random: Random, counts: Counts): string[] => {
  const bytes = 2000 + random.int(10_000);
  const mostly = `num % 4 = ${random.int(4)} AND id <> '${issueID(1)}'`;
  const few = `num % 40 = ${random.int(40)} AND id <> '${issueID(1)}'`;
  const column = `burst_${n % 3}`;
  const statements = [
    'BEGIN',
    // Taken later, while mutations wait for its rows, it would be a dead-lock of our own making.
    'LOCK TABLE issue IN ACCESS EXCLUSIVE MODE',
    `UPDATE issue SET description = left(repeat('ä' || md5(id || '${n}'), ${Math.ceil(bytes / 32)}), ${bytes}) WHERE ${mostly}`,
    `ALTER TABLE issue ADD COLUMN IF NOT EXISTS ${column} text`,
    `UPDATE issue SET ${column} = 'of ${n}', description = (SELECT string_agg(md5(id || '${n}' || g), '') FROM generate_series(1, 200) g) WHERE ${few}`,
    `INSERT INTO comment (id, issue, author, body, created)
     SELECT 'b${n}-' || g, '${issueID(2 + random.int(counts.issue - 3))}', '${userID(random.int(40))}', repeat(md5('${n}' || g), 40), now()
     FROM generate_series(1, 2000) g`,
    `UPDATE comment SET body = repeat(md5('${n}'), ${random.int(250_000)}) WHERE id = '${commentID(random.int(counts.comment))}'`,
    `ALTER TABLE issue DROP COLUMN IF EXISTS burst_${(n + 1) % 3}`,
    `DELETE FROM comment WHERE id LIKE 'b${n}-%' AND created < now() + interval '1 hour' AND right(id, 1) <> '7'`,
  ];
  return [
    ...statements,
    random.chance(0.15) ? 'ROLLBACK' : 'COMMIT',
    `DELETE FROM comment WHERE id LIKE 'b%'`,
  ];
};

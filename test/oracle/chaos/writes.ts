import type pg from 'pg';
import {type Counts, issueID, labelID, STATUSES, userID} from '../../bench/data/rows.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import type {Random} from '../../helpers/random.ts';
import type {Weather} from './visitor.ts';

/** Writes come no faster than this. */
const PAUSE_MS = 25;
/** A column comes and goes once in so many writes. */
const SCHEMA_CYCLE = 400;

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
    await sleep(random.int(PAUSE_MS));
  }
};

/** Leaves the first issue alone: it is the witness. */
const change = (n: number, random: Random, counts: Counts): string => {
  const id = issueID(2 + random.int(counts.issue - 3));
  const where = `WHERE id = '${id}'`;
  return random.pick([
    `UPDATE issue SET status = '${random.pick(STATUSES)}', updated = now() ${where}`,
    `UPDATE issue SET title = 'many ${n}', updated = now() WHERE num % 50 = ${random.int(50)} AND id <> '${issueID(1)}'`,
    `UPDATE issue SET title = 'one ${n}' ${where}`,
    `UPDATE issue SET project = (SELECT project FROM issue ORDER BY random() LIMIT 1), updated = now() ${where}`,
    `DELETE FROM issue_label WHERE issue = '${id}'`,
    `INSERT INTO issue_label (issue, label) VALUES ('${id}', '${labelID(random.int(40))}') ON CONFLICT DO NOTHING`,
    `DELETE FROM comment WHERE issue = '${id}'`,
    `UPDATE comment SET author = '${userID(random.int(40))}' WHERE issue = '${id}'`,
  ]);
};

import {expect, test} from 'vitest';
import {createDatabase} from '../../helpers/postgres.ts';
import {loadIssueTracker} from './load.ts';
import {countsAt, rowOf, totalRows} from './rows.ts';

test('the data has the promised size and is the same every time', async () => {
  expect(totalRows(countsAt(1))).toBe(904_400);
  expect(rowOf.issue(17, countsAt(1))).toEqual(rowOf.issue(17, countsAt(1)));
  await using db = await createDatabase();
  const counts = await loadIssueTracker(db.url, 0.01);
  for (const [name, count] of Object.entries(counts)) {
    const {rows} = await db.query(`SELECT count(*)::int AS n FROM "${name}"`);
    expect([name, rows[0].n]).toEqual([name, count]);
  }
  const orphans = await db.query(`
    SELECT (SELECT count(*) FROM comment c LEFT JOIN issue i ON i.id = c.issue LEFT JOIN "user" u ON u.id = c.author
            WHERE i.id IS NULL OR u.id IS NULL)::int AS comments,
           (SELECT count(*) FROM issue_label j LEFT JOIN label l ON l.id = j.label WHERE l.id IS NULL)::int AS labels,
           (SELECT count(*) FROM issue i LEFT JOIN project p ON p.id = i.project LEFT JOIN "user" u ON u.id = i.creator
            WHERE p.id IS NULL OR u.id IS NULL)::int AS issues`);
  expect(orphans.rows).toEqual([{comments: 0, labels: 0, issues: 0}]);
});

import {type WireQuery, wireQuery} from '../helpers/raw-client.ts';
import {type Counts, issueID, labelID, projectID, userID} from './rows.ts';
import {zql} from './schema.ts';

/** A query and the SQL of what must arrive: ids, in any order, of all rows of one table that the query syncs. */
export interface CheckedQuery extends WireQuery {
  readonly answer: {readonly table: 'issue'; readonly sql: string};
}

const checked = (query: object, sql: string): CheckedQuery => ({
  ...wireQuery(query),
  answer: {table: 'issue', sql},
});

/** The queries of T5–T9; `n` varies the constants, so that each is cold once. */
export const COLD = {
  T5: (n: number, counts: Counts) => {
    const project = projectID(n % counts.project);
    const status = n % 2 ? 'todo' : 'review';
    return checked(
      zql.issue.where('project', project).where('status', status).orderBy('updated', 'desc').limit(100),
      `SELECT id FROM issue WHERE project = '${project}' AND status = '${status}' ORDER BY updated DESC, id LIMIT 100`,
    );
  },
  T6: (n: number) =>
    checked(
      zql.issue.where('num', '>', n).where('num', '<=', n + 10_000),
      `SELECT id FROM issue WHERE num > ${n} AND num <= ${n + 10_000}`,
    ),
  T7: (n: number, counts: Counts) => {
    const label = labelID(n % counts.label);
    return checked(
      zql.issue
        .whereExists('labels', q => q.where('id', label))
        .orderBy('updated', 'desc')
        .limit(100),
      `SELECT id FROM issue i WHERE EXISTS (SELECT FROM issue_label WHERE issue = i.id AND label = '${label}')
       ORDER BY updated DESC, id LIMIT 100`,
    );
  },
  T8: (n: number, counts: Counts) => {
    const project = projectID(n % counts.project);
    return checked(
      zql.issue
        .where('project', project)
        .orderBy('updated', 'desc')
        .limit(50)
        .related('createdBy')
        .related('labels')
        .related('comments', q => q.orderBy('created', 'desc').limit(5).related('writtenBy')),
      `SELECT id FROM issue WHERE project = '${project}' ORDER BY updated DESC, id LIMIT 50`,
    );
  },
  T9: (n: number, counts: Counts) => {
    const label = labelID(n % counts.label);
    const author = userID((n * 7) % counts.user);
    return checked(
      zql.issue
        .where(({or, exists}) =>
          or(
            exists('labels', q => q.where('id', label)),
            exists('comments', q => q.where('author', author)),
          ),
        )
        .orderBy('updated', 'desc')
        .limit(100),
      `SELECT id FROM issue i WHERE EXISTS (SELECT FROM issue_label WHERE issue = i.id AND label = '${label}')
       OR EXISTS (SELECT FROM comment WHERE issue = i.id AND author = '${author}') ORDER BY updated DESC, id LIMIT 100`,
    );
  },
} as const;

/** The issue that T10–T19 change: every group of T13–T17 has it. */
export const WATCHED = issueID(0);

/** The five queries of T13–T17. */
export const five = (): WireQuery[] => [
  wireQuery(zql.issue.where('id', WATCHED).related('createdBy').one()),
  wireQuery(zql.issue.where('project', projectID(0)).orderBy('updated', 'desc').limit(50)),
  wireQuery(zql.issue.where('status', 'in_progress').orderBy('num', 'desc').limit(30).related('labels')),
  wireQuery(zql.project.limit(50)),
  wireQuery(zql.label.where('name', 'LIKE', 's%')),
];

/** The ten queries of T10–T12: four of the five, projects with owners, and five more. */
export const ten = (): WireQuery[] => [
  ...five().filter((_, i) => i !== 3),
  wireQuery(zql.project.limit(50).related('ownedBy')),
  wireQuery(zql.issue.where('open', true).orderBy('priority', 'desc').orderBy('num', 'desc').limit(50)),
  wireQuery(
    zql.issue
      .where('project', projectID(1))
      .orderBy('updated', 'desc')
      .limit(20)
      .related('assignedTo')
      .related('comments', q => q.orderBy('created', 'desc').limit(5).related('writtenBy')),
  ),
  wireQuery(
    zql.issue
      .whereExists('labels', q => q.where('id', labelID(1)))
      .orderBy('updated', 'desc')
      .limit(50),
  ),
  wireQuery(zql.comment.where('author', userID(3)).orderBy('created', 'desc').limit(100)),
  wireQuery(zql.user.where('active', true).limit(100)),
];

/** One issue by its key. */
export const issueByID = (n: number): WireQuery => wireQuery(zql.issue.where('id', issueID(n)));

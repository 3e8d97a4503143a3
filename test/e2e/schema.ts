import {
  boolean,
  createBuilder,
  createSchema,
  json,
  number,
  relationships,
  string,
  table,
} from '@rocicorp/zero';

const user = table('user')
  .columns({id: string(), name: string(), age: number().optional(), active: boolean()})
  .primaryKey('id');

const project = table('project')
  .columns({
    id: string(),
    name: string(),
    ownerId: string().from('owner_id').optional(),
    budget: number().optional(),
  })
  .primaryKey('id');

const issue = table('issue')
  .columns({
    id: string(),
    num: number(),
    title: string(),
    status: string(),
    rank: number().optional(),
    open: boolean(),
    projectId: string().from('project_id'),
    creatorId: string().from('creator_id'),
    assigneeId: string().from('assignee_id').optional(),
    parentId: string().from('parent_id').optional(),
    updated: number(),
    meta: json().optional(),
  })
  .primaryKey('id');

const comment = table('comment')
  .columns({
    id: string(),
    issueId: string().from('issue_id'),
    authorId: string().from('author_id'),
    text: string(),
    score: number().optional(),
  })
  .primaryKey('id');

const label = table('label').columns({id: string(), name: string()}).primaryKey('id');

const issueLabel = table('issueLabel')
  .from('issue_label')
  .columns({issueId: string().from('issue_id'), labelId: string().from('label_id')})
  .primaryKey('issueId', 'labelId');

/** One row; every transaction of a test raises `n`, so a client that shows it holds the whole transaction. */
const tick = table('tick').columns({id: string(), n: number()}).primaryKey('id');

const userRelationships = relationships(user, ({many}) => ({
  created: many({sourceField: ['id'], destSchema: issue, destField: ['creatorId']}),
  comments: many({sourceField: ['id'], destSchema: comment, destField: ['authorId']}),
  projects: many({sourceField: ['id'], destSchema: project, destField: ['ownerId']}),
}));

const projectRelationships = relationships(project, ({one, many}) => ({
  owner: one({sourceField: ['ownerId'], destSchema: user, destField: ['id']}),
  issues: many({sourceField: ['id'], destSchema: issue, destField: ['projectId']}),
}));

const issueRelationships = relationships(issue, ({one, many}) => ({
  project: one({sourceField: ['projectId'], destSchema: project, destField: ['id']}),
  creator: one({sourceField: ['creatorId'], destSchema: user, destField: ['id']}),
  assignee: one({sourceField: ['assigneeId'], destSchema: user, destField: ['id']}),
  parent: one({sourceField: ['parentId'], destSchema: issue, destField: ['id']}),
  children: many({sourceField: ['id'], destSchema: issue, destField: ['parentId']}),
  comments: many({sourceField: ['id'], destSchema: comment, destField: ['issueId']}),
  labels: many(
    {sourceField: ['id'], destSchema: issueLabel, destField: ['issueId']},
    {sourceField: ['labelId'], destSchema: label, destField: ['id']},
  ),
}));

const commentRelationships = relationships(comment, ({one}) => ({
  issue: one({sourceField: ['issueId'], destSchema: issue, destField: ['id']}),
  author: one({sourceField: ['authorId'], destSchema: user, destField: ['id']}),
}));

const labelRelationships = relationships(label, ({many}) => ({
  issues: many(
    {sourceField: ['id'], destSchema: issueLabel, destField: ['labelId']},
    {sourceField: ['issueId'], destSchema: issue, destField: ['id']},
  ),
}));

/** An issue tracker: seven tables, a junction with a compound key, a self reference, renamed columns and tables. */
export const schema = createSchema({
  tables: [user, project, issue, comment, label, issueLabel, tick],
  relationships: [
    userRelationships,
    projectRelationships,
    issueRelationships,
    commentRelationships,
    labelRelationships,
  ],
  enableLegacyQueries: true,
  enableLegacyMutators: true,
});

export type Schema = typeof schema;
export const zql = createBuilder(schema);

/** Text columns collate "C" upstream because ZQL orders text by its bytes. No foreign keys: random order of statements. */
export const ddl = `
  CREATE TABLE "user" (id text COLLATE "C" PRIMARY KEY, name text COLLATE "C" NOT NULL, age int, active bool NOT NULL);
  CREATE TABLE project (id text COLLATE "C" PRIMARY KEY, name text COLLATE "C" NOT NULL, owner_id text COLLATE "C", budget float8);
  CREATE TABLE issue (
    id text COLLATE "C" PRIMARY KEY, num int NOT NULL, title text COLLATE "C" NOT NULL, status text COLLATE "C" NOT NULL,
    rank float8, open bool NOT NULL, project_id text COLLATE "C" NOT NULL, creator_id text COLLATE "C" NOT NULL,
    assignee_id text COLLATE "C", parent_id text COLLATE "C", updated timestamptz NOT NULL, meta jsonb);
  CREATE TABLE comment (
    id text COLLATE "C" PRIMARY KEY, issue_id text COLLATE "C" NOT NULL, author_id text COLLATE "C" NOT NULL,
    text text COLLATE "C" NOT NULL, score int);
  CREATE TABLE label (id text COLLATE "C" PRIMARY KEY, name text COLLATE "C" NOT NULL);
  CREATE TABLE issue_label (
    issue_id text COLLATE "C" NOT NULL, label_id text COLLATE "C" NOT NULL, PRIMARY KEY (issue_id, label_id));
  CREATE TABLE tick (id text COLLATE "C" PRIMARY KEY, n int NOT NULL);
  CREATE INDEX ON issue (project_id); CREATE INDEX ON issue (creator_id); CREATE INDEX ON issue (parent_id);
  CREATE INDEX ON comment (issue_id); CREATE INDEX ON issue_label (label_id);
  INSERT INTO tick VALUES ('tick', 0);
`;

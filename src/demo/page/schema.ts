import {createBuilder, createSchema, number, relationships, string, table} from '@rocicorp/zero';

/** The demonstration's tables as the client sees them; the database's own are in `../demo-schema.ts`. */
const person = table('person').columns({id: string(), name: string(), color: string()}).primaryKey('id');

const project = table('project')
  .columns({id: string(), key: string(), name: string(), leadId: string().from('lead_id')})
  .primaryKey('id');

const issue = table('issue')
  .columns({
    id: string(),
    /** Given by PostgreSQL: unknown until the server has answered an insert. */
    num: number().optional(),
    projectId: string().from('project_id'),
    title: string(),
    description: string(),
    status: string<'open' | 'doing' | 'done'>(),
    priority: number(),
    creatorId: string().from('creator_id'),
    assigneeId: string().from('assignee_id').optional(),
    parentId: string().from('parent_id').optional(),
    created: number(),
    updated: number(),
  })
  .primaryKey('id');

const comment = table('comment')
  .columns({
    id: string(),
    issueId: string().from('issue_id'),
    authorId: string().from('author_id'),
    body: string(),
    created: number(),
  })
  .primaryKey('id');

const label = table('label').columns({id: string(), name: string(), color: string()}).primaryKey('id');

const issueLabel = table('issueLabel')
  .from('issue_label')
  .columns({issueId: string().from('issue_id'), labelId: string().from('label_id')})
  .primaryKey('issueId', 'labelId');

const issueRelationships = relationships(issue, ({one, many}) => ({
  project: one({sourceField: ['projectId'], destSchema: project, destField: ['id']}),
  creator: one({sourceField: ['creatorId'], destSchema: person, destField: ['id']}),
  assignee: one({sourceField: ['assigneeId'], destSchema: person, destField: ['id']}),
  parent: one({sourceField: ['parentId'], destSchema: issue, destField: ['id']}),
  children: many({sourceField: ['id'], destSchema: issue, destField: ['parentId']}),
  comments: many({sourceField: ['id'], destSchema: comment, destField: ['issueId']}),
  labels: many(
    {sourceField: ['id'], destSchema: issueLabel, destField: ['issueId']},
    {sourceField: ['labelId'], destSchema: label, destField: ['id']},
  ),
}));

const commentRelationships = relationships(comment, ({one}) => ({
  author: one({sourceField: ['authorId'], destSchema: person, destField: ['id']}),
}));

export const schema = createSchema({
  tables: [person, project, issue, comment, label, issueLabel],
  relationships: [issueRelationships, commentRelationships],
  enableLegacyQueries: true,
  enableLegacyMutators: true,
});

export type Schema = typeof schema;
export type Status = 'open' | 'doing' | 'done';
export const zql = createBuilder(schema);

export const STATUSES: readonly (readonly [Status, string])[] = [
  ['open', 'Open'],
  ['doing', 'In progress'],
  ['done', 'Done'],
];

/** By number: 1 is the most urgent. */
export const PRIORITIES = ['', 'Urgent', 'High', 'Normal', 'Low'] as const;

import {
  ANYONE_CAN_DO_ANYTHING,
  boolean,
  createBuilder,
  createSchema,
  definePermissions,
  json,
  number,
  relationships,
  string,
  table,
} from '@rocicorp/zero';

const user = table('user')
  .columns({id: string(), name: string(), email: string(), role: string(), active: boolean()})
  .primaryKey('id');

const project = table('project')
  .columns({id: string(), name: string(), owner: string(), archived: boolean()})
  .primaryKey('id');

const issue = table('issue')
  .columns({
    id: string(),
    num: number(),
    title: string(),
    description: string(),
    status: string(),
    priority: number(),
    project: string(),
    creator: string(),
    assignee: string().optional(),
    created: number(),
    updated: number(),
    metadata: json(),
    open: boolean(),
  })
  .primaryKey('id');

const comment = table('comment')
  .columns({id: string(), issue: string(), author: string(), body: string(), created: number()})
  .primaryKey('id');

const label = table('label').columns({id: string(), name: string()}).primaryKey('id');

const issueLabel = table('issue_label')
  .columns({issue: string(), label: string()})
  .primaryKey('issue', 'label');

const projectRelationships = relationships(project, ({one, many}) => ({
  ownedBy: one({sourceField: ['owner'], destSchema: user, destField: ['id']}),
  issues: many({sourceField: ['id'], destSchema: issue, destField: ['project']}),
}));

const issueRelationships = relationships(issue, ({one, many}) => ({
  inProject: one({sourceField: ['project'], destSchema: project, destField: ['id']}),
  createdBy: one({sourceField: ['creator'], destSchema: user, destField: ['id']}),
  assignedTo: one({sourceField: ['assignee'], destSchema: user, destField: ['id']}),
  comments: many({sourceField: ['id'], destSchema: comment, destField: ['issue']}),
  labels: many(
    {sourceField: ['id'], destSchema: issueLabel, destField: ['issue']},
    {sourceField: ['label'], destSchema: label, destField: ['id']},
  ),
}));

const commentRelationships = relationships(comment, ({one}) => ({
  onIssue: one({sourceField: ['issue'], destSchema: issue, destField: ['id']}),
  writtenBy: one({sourceField: ['author'], destSchema: user, destField: ['id']}),
}));

/** The issue tracker of every bench. Client and server names are the same, so a query's AST is what goes over the wire. */
export const schema = createSchema({
  tables: [user, project, issue, comment, label, issueLabel],
  relationships: [projectRelationships, issueRelationships, commentRelationships],
  enableLegacyQueries: true,
  enableLegacyMutators: true,
});

export type Schema = typeof schema;
export const zql = createBuilder(schema);

/** "Anyone may do anything", compiled by the stock library: the value of `<app>.permissions.permissions`. */
export const anyonePermissions = async (): Promise<string> => {
  const rules = Object.fromEntries(Object.keys(schema.tables).map(name => [name, ANYONE_CAN_DO_ANYTHING]));
  return JSON.stringify(await definePermissions(schema, () => rules as never));
};

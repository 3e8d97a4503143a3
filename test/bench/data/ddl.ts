/** Tables without their secondary indexes: rows first, indexes after, as a restore would do it. */
export const tables = `
  CREATE TABLE "user" (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL, role text NOT NULL, active bool NOT NULL);
  CREATE TABLE project (id text PRIMARY KEY, name text NOT NULL, owner text NOT NULL, archived bool NOT NULL);
  CREATE TABLE issue (
    id text PRIMARY KEY, num int NOT NULL, title text NOT NULL, description text NOT NULL, status text NOT NULL,
    priority int NOT NULL, project text NOT NULL, creator text NOT NULL, assignee text, created timestamptz NOT NULL,
    updated timestamptz NOT NULL, metadata jsonb NOT NULL, open bool NOT NULL);
  CREATE TABLE comment (id text PRIMARY KEY, issue text NOT NULL, author text NOT NULL, body text NOT NULL, created timestamptz NOT NULL);
  CREATE TABLE label (id text PRIMARY KEY, name text NOT NULL);
  CREATE TABLE issue_label (issue text NOT NULL, label text NOT NULL, PRIMARY KEY (issue, label));
`;

export const indexes = [
  'CREATE INDEX ON project (owner)',
  'CREATE INDEX ON issue (num)',
  'CREATE INDEX ON issue (status)',
  'CREATE INDEX ON issue (project, updated)',
  'CREATE INDEX ON issue (creator)',
  'CREATE INDEX ON issue (assignee)',
  'CREATE INDEX ON comment (issue)',
  'CREATE INDEX ON comment (author)',
  'CREATE INDEX ON issue_label (label)',
] as const;

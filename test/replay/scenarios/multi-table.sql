-- @about transactions over several tables, with rollbacks, savepoints and changes that cancel out
CREATE TABLE project (id text PRIMARY KEY, name text NOT NULL);
CREATE TABLE issue (id text PRIMARY KEY, project text NOT NULL REFERENCES project, title text NOT NULL, open bool NOT NULL);
CREATE TABLE comment (issue text REFERENCES issue ON DELETE CASCADE, n int, body text, PRIMARY KEY (issue, n));
CREATE INDEX issue_project ON issue (project, title DESC);
INSERT INTO project VALUES ('p1', 'First'), ('p2', 'Second');
INSERT INTO issue VALUES ('i1', 'p1', 'old', true);
INSERT INTO comment VALUES ('i1', 1, 'hello'), ('i1', 2, NULL);
-- @changes
INSERT INTO project VALUES ('p3', 'Third');
INSERT INTO issue SELECT 'i' || n, 'p' || (n % 3 + 1), 'issue ' || n, n % 2 = 0 FROM generate_series(2, 6) n;
INSERT INTO comment SELECT 'i' || n, 1, 'on ' || n FROM generate_series(2, 6) n;
UPDATE project SET name = name || '!' WHERE id IN ('p1', 'p2');
---
BEGIN; INSERT INTO project VALUES ('gone', 'rolled back'); UPDATE issue SET title = 'never'; ROLLBACK;
---
BEGIN;
INSERT INTO project VALUES ('p4', 'Fourth');
SAVEPOINT s; DELETE FROM comment; ROLLBACK TO s;
INSERT INTO issue VALUES ('i9', 'p4', 'short-lived', true);
DELETE FROM issue WHERE id = 'i9';
UPDATE issue SET open = NOT open WHERE project = 'p1';
COMMIT;
---
DELETE FROM issue WHERE id IN ('i1', 'i2');
---
INSERT INTO issue VALUES ('i1', 'p2', 'back again', false);
INSERT INTO comment VALUES ('i1', 1, 'anew');

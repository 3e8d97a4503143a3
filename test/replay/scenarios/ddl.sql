-- @about schema changes that the stream itself carries, as event triggers announce them, each at its place among rows
-- @triggers
CREATE TABLE issue (id int PRIMARY KEY, title text NOT NULL, n numeric);
CREATE TABLE comment (id int PRIMARY KEY, issue_id int NOT NULL, body text);
CREATE INDEX comment_issue ON comment (issue_id);
INSERT INTO issue SELECT i, 'title ' || i, i * 1.5 FROM generate_series(1, 5) i;
INSERT INTO comment SELECT i, i % 5 + 1, repeat('x', i) FROM generate_series(1, 5) i;
CREATE PUBLICATION fixture FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true);
-- @changes
ALTER TABLE issue ADD COLUMN prio int;
---
INSERT INTO issue VALUES (6, 'new', 1, 3);
ALTER TABLE issue ADD COLUMN state text NOT NULL DEFAULT 'it''s "open"';
INSERT INTO issue VALUES (7, 'newer', 1, 3, 'closed');
---
ALTER TABLE issue RENAME COLUMN title TO headline;
UPDATE issue SET headline = headline || '!' WHERE id <= 2;
---
ALTER TABLE issue DROP COLUMN n;
UPDATE issue SET prio = id;
ALTER TABLE issue ALTER prio SET NOT NULL;
---
ALTER TABLE comment RENAME TO remark;
INSERT INTO remark VALUES (9, 1, 'after the rename');
ALTER TABLE remark RENAME COLUMN issue_id TO "issueID";
---
CREATE TABLE label (id text PRIMARY KEY, name text UNIQUE);
INSERT INTO label SELECT 'l' || i, 'n' || i FROM generate_series(1, 3) i;
---
UPDATE label SET id = 'moved' WHERE id = 'l1';
CREATE INDEX issue_prio ON issue (prio DESC, id);
DROP INDEX comment_issue;
---
BEGIN;
ALTER TABLE issue RENAME TO tmp;
ALTER TABLE remark RENAME TO issue;
ALTER TABLE tmp RENAME TO remark;
INSERT INTO remark (id, headline, prio) VALUES (10, 'swapped', 1);
COMMIT;
---
BEGIN; ALTER TABLE issue ADD COLUMN never int; ROLLBACK;
---
DROP TABLE issue;
CREATE TABLE issue (id int PRIMARY KEY, other text);
INSERT INTO issue VALUES (1, 'another table');

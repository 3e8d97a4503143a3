-- @about two client groups with a shared query: pokes, a second tab, other queries, a lost connection and catching up
-- @triggers
CREATE TABLE issue (id text PRIMARY KEY, title text NOT NULL, open bool NOT NULL, prio int NOT NULL);
CREATE TABLE comment (id text PRIMARY KEY, issue text NOT NULL, body text);
CREATE INDEX comment_issue ON comment (issue);
INSERT INTO issue SELECT 'i' || n, 'issue ' || n, n % 2 = 1, n FROM generate_series(1, 5) n;
INSERT INTO comment SELECT 'c' || n, 'i' || (n % 5 + 1), 'comment ' || n FROM generate_series(1, 6) n;
CREATE PUBLICATION fixture FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true);
-- @changes
UPDATE issue SET title = 'seen by both groups' WHERE id = 'i5';
---
UPDATE issue SET open = false WHERE id = 'i5';
INSERT INTO comment VALUES ('c7', 'i3', 'with it');
---
INSERT INTO issue VALUES ('unseen', 'outside of every window', false, 0);
---
UPDATE issue SET open = true, title = 'while away' WHERE id = 'i4';
DELETE FROM comment WHERE id = 'c7';
---
DELETE FROM issue WHERE id = 'i3';
---
TRUNCATE comment;

-- @about what was not acknowledged is sent again after the connection ended, and changes nothing; then new changes come, a schema change among them
-- @triggers
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, n int);
INSERT INTO a SELECT n, 'a' || n FROM generate_series(1, 4) n;
INSERT INTO b VALUES (1, 0);
-- @changes
UPDATE b SET n = n + 1;
---
INSERT INTO a VALUES (5, 'a fifth');
UPDATE a SET v = 'changed' WHERE id = 3;
---
DELETE FROM a WHERE id = 1;
UPDATE a SET id = 6 WHERE id = 2;
---
TRUNCATE b;
INSERT INTO b VALUES (2, 10);
---
@again
---
UPDATE b SET n = n + 1;
---
INSERT INTO a VALUES (1, 'a new one'), (2, NULL);
ALTER TABLE a ADD COLUMN w text DEFAULT 'w';
UPDATE a SET w = 'after it' WHERE id = 5;
---
UPDATE a SET v = 'last' WHERE id = 1;

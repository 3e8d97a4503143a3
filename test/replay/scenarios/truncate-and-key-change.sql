-- @about TRUNCATE of one and of several tables, rows after it in the same transaction, and updates that move keys
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (x text, y int, v text, PRIMARY KEY (y, x));
CREATE TABLE c (id int PRIMARY KEY);
INSERT INTO a SELECT n, 'a' || n FROM generate_series(1, 5) n;
INSERT INTO b SELECT 'k' || n, n, 'b' || n FROM generate_series(1, 5) n;
INSERT INTO c VALUES (1), (2);
-- @changes
UPDATE a SET id = 50 WHERE id = 5;
UPDATE b SET x = 'moved', v = 'both' WHERE y = 2;
---
UPDATE a SET id = id + 100;
---
UPDATE a SET id = 1 WHERE id = 101;
UPDATE a SET id = 101 WHERE id = 102;
---
TRUNCATE c;
---
INSERT INTO c VALUES (3);
TRUNCATE a, b;
INSERT INTO a VALUES (7, 'after the truncation'), (1, 'again');
UPDATE a SET id = 8 WHERE id = 7;
---
INSERT INTO b VALUES ('z', 1, 'last');
TRUNCATE b;

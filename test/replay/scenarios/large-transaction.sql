-- @about one transaction above the part limit, which goes on in parts, between two small ones
-- @partBytes 6000
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, n int);
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO item SELECT n, 'item ' || n, n FROM generate_series(1, 100) n;
-- @changes
INSERT INTO other VALUES (1);
---
UPDATE item SET n = n + 1000, name = name || ' changed' WHERE id <= 100;
INSERT INTO item SELECT n, 'item ' || n, n FROM generate_series(101, 200) n;
DELETE FROM item WHERE id % 3 = 0;
INSERT INTO other VALUES (2);
---
UPDATE item SET id = 1000 WHERE id = 200;

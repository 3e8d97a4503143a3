-- @about published tables that cannot be replicated are left out, and their changes with them; others go on
CREATE TABLE item (id int PRIMARY KEY, v text);
CREATE TABLE "no good!" (id int PRIMARY KEY, v text);
CREATE TABLE twice (id int PRIMARY KEY, "name" text, "Name" text);
INSERT INTO item VALUES (1, 'a');
INSERT INTO "no good!" VALUES (1, 'a');
INSERT INTO twice VALUES (1, 'a', 'A');
-- @changes
INSERT INTO item VALUES (2, 'b');
INSERT INTO "no good!" VALUES (2, 'b');
UPDATE twice SET "Name" = 'B';
---
TRUNCATE twice, item;
INSERT INTO item VALUES (3, 'after the truncation');
---
DELETE FROM "no good!";
---
UPDATE item SET v = 'last';

-- @about insert, update and delete of rows with TOAST values, of which updates of other columns send nothing
CREATE TABLE doc (id int PRIMARY KEY, title text NOT NULL, body text, extra jsonb);
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL, ALTER extra SET STORAGE EXTERNAL;
INSERT INTO doc VALUES (1, 'kept', repeat('a', 3000), jsonb_build_object('k', repeat('x', 2500))), (2, 'short', 'b', '{}');
-- @changes
INSERT INTO doc VALUES (3, 'new', repeat('c', 3000), NULL);
---
UPDATE doc SET title = 'body and extra are unchanged' WHERE id = 1;
---
UPDATE doc SET body = repeat('d', 2800) WHERE id = 1;
---
UPDATE doc SET body = NULL, title = 'extra is unchanged' WHERE id = 1;
---
UPDATE doc SET id = 30 WHERE id = 3;
---
UPDATE doc SET body = repeat('e', 2600), extra = '{"n": 1}' WHERE id = 2;
UPDATE doc SET title = 'twice in one transaction' WHERE id = 2;
---
DELETE FROM doc WHERE id = 1;

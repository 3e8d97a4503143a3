-- @about REPLICA IDENTITY FULL and USING INDEX: old rows in the stream, keys from an index, TOAST found in the old row
CREATE TABLE by_full (id int NOT NULL UNIQUE, name text, big text);
ALTER TABLE by_full REPLICA IDENTITY FULL, ALTER big SET STORAGE EXTERNAL;
CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL, area int NOT NULL, v text);
CREATE UNIQUE INDEX by_index_code ON by_index (code, area);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE keyless (v int, w text);
INSERT INTO by_full VALUES (1, 'one', repeat('f', 2500)), (2, NULL, NULL);
INSERT INTO by_index VALUES (1, 'a', 1, 'x'), (2, 'b', 1, 'y');
INSERT INTO keyless VALUES (1, 'same'), (1, 'same');
-- @changes
UPDATE by_full SET name = 'big is unchanged' WHERE id = 1;
---
UPDATE by_full SET id = 20, name = 'moved' WHERE id = 2;
UPDATE by_index SET code = 'c' WHERE id = 1;
UPDATE by_index SET id = 22, v = 'the index key stays' WHERE id = 2;
---
INSERT INTO keyless VALUES (2, NULL), (1, 'same');
---
DELETE FROM by_full WHERE id = 20;
DELETE FROM by_index WHERE code = 'c';
INSERT INTO by_index VALUES (3, 'c', 2, 'z');

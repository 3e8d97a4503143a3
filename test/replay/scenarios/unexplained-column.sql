-- @about a column that nothing in the recording announces: a server reads the catalog, a replay ends with the fault
-- @fault R002
CREATE TABLE issue (id int PRIMARY KEY, title text NOT NULL);
INSERT INTO issue VALUES (1, 'a');
-- @changes
INSERT INTO issue VALUES (2, 'b');
---
ALTER TABLE issue ADD COLUMN prio int;
INSERT INTO issue VALUES (3, 'c', 1);

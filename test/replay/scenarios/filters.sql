-- @about row filters and column lists: updates that bring rows into the publication and take them out
CREATE TABLE item (id int PRIMARY KEY, owner text NOT NULL, secret text, open bool NOT NULL);
ALTER TABLE item REPLICA IDENTITY FULL;
CREATE TABLE person (id int PRIMARY KEY, name text, password text);
CREATE PUBLICATION fixture FOR TABLE item WHERE (open), TABLE person (id, name);
INSERT INTO item VALUES (1, 'me', 's', true), (2, 'me', 's', false);
INSERT INTO person VALUES (1, 'Ann', 'p'), (2, NULL, 'p');
-- @changes
UPDATE item SET open = NOT open;
---
INSERT INTO item VALUES (3, 'you', 's', false), (4, 'you', 's', true);
UPDATE person SET password = 'q' WHERE id = 1;
---
UPDATE item SET owner = 'us';
UPDATE person SET name = 'Bob' WHERE id = 2;
---
DELETE FROM item WHERE id <= 3;
DELETE FROM person WHERE id = 1;

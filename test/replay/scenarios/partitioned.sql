-- @about a partitioned table published by its root: rows that move between partitions, one attached to none
CREATE TABLE event (id int, at date NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE event_2023 PARTITION OF event FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY RANGE (at);
CREATE TABLE event_2024_a PARTITION OF event_2024 FOR VALUES FROM ('2024-01-01') TO ('2024-06-01');
CREATE TABLE event_rest PARTITION OF event_2024 DEFAULT;
INSERT INTO event VALUES (1, '2023-05-01', 'a'), (2, '2024-05-01', 'a'), (3, '2024-06-01', NULL);
-- @changes
INSERT INTO event VALUES (4, '2023-07-01', 'new'), (5, '2024-07-01', 'b');
---
UPDATE event SET at = '2024-01-15' WHERE id = 1;
---
UPDATE event SET note = 'z' WHERE id = 2;
DELETE FROM event WHERE id = 3;
---
TRUNCATE event_2023;
---
INSERT INTO event VALUES (6, '2023-01-01', NULL);
TRUNCATE event;
INSERT INTO event VALUES (7, '2023-12-31', 'after');

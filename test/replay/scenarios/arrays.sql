-- @about arrays of every kind of element, with NULLs, quotes, empty ones, several dimensions and other bounds
CREATE TYPE mood AS ENUM ('sad', 'ok', 'null');
CREATE TABLE t (id int PRIMARY KEY, i int4[], b bool[], n numeric[], f float8[], t text[], m mood[], j jsonb[], d timestamptz[], u uuid[]);
INSERT INTO t VALUES (1, '{1,NULL,-3}', '{t,NULL,f}', '{1.50,NaN,NULL}', '{Infinity,0.1}', ARRAY['a,b', '"q"', 'NULL', NULL, '', '{x}', E'back\\slash', ' pad '],
  '{sad,"null",NULL}', ARRAY['{"a": [1, "x,y"]}'::jsonb, NULL, 'null'], '{2020-01-01 00:00:00+00,NULL}', '{6f1ed0f2-0000-4000-8000-000000000001}');
-- @changes
INSERT INTO t VALUES (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
---
INSERT INTO t VALUES (3, '{{1,2},{3,NULL}}', NULL, '[0:1]={1,2}', '{{{1}}}', '{{a,b},{c,"d e"}}', NULL, NULL, NULL, NULL);
---
UPDATE t SET i = i || NULL || 7, t = array_append(t, E'new\nline') WHERE id = 1;

-- @about a column of every kind of type at its ends, in the snapshot and in the stream
CREATE TYPE mood AS ENUM ('sad', 'ok', '1', 'with space');
CREATE DOMAIN upc AS text CHECK (value ~ '^[0-9]*$');
CREATE DOMAIN points AS int CHECK (value >= 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (
  id int8 PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(20, 4),
  t text, v varchar(20), c char(6), ch "char", u uuid, j json, jb jsonb,
  d date, ts timestamp, tz timestamptz(3), tm time, tmz timetz, iv interval, by bytea,
  m mood, up upc, po points, pa pair, ip inet, net cidr, mac macaddr, lsn pg_lsn, bits bit varying(8), xm xml, rng int4range, pt point, ts_v tsvector, money money);
INSERT INTO t (id) VALUES (1);
INSERT INTO t VALUES (2, true, -32768, -2147483648, -9223372036854775808, '-infinity', 'NaN', 'NaN', 1234567890123456.7891,
  E'tab\tnew\nline\\ "q" \u00e4 \U0001F600', 'it''s', 'ab', 'x', '6F1ED0F2-0000-4000-8000-000000000001', '{"b":1, "a" : [1.50, null]}', '"scalar"',
  '0044-03-15 BC', '-infinity', '2000-01-01 00:00:00.1239+02', '24:00', '23:59:59.999999-08', '1 year 2 mons -3 days 04:05:06.7', '\x00ff10',
  'with space', '007', 0, '(1,"a b")', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '16/B374D848', B'101', '<a>1</a>', '[1,5)', '(1.5,-2)', 'a fat cat', '12.34');
-- @changes
INSERT INTO t VALUES (9007199254740993, false, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 0.1, -0.0001,
  '', '', '', '', '00000000-0000-0000-0000-000000000000', 'null', 'null',
  'infinity', '1999-12-31 23:59:59.123456', '0044-03-15 12:00:00+00 BC', '00:00', '00:00+00', '0', '',
  '1', '', 2147483647, '(,)', '127.0.0.1', '::/0', 'ff:ff:ff:ff:ff:ff', '0/0', B'', '<b/>', 'empty', '(0,0)', '', '0');
---
UPDATE t SET b = NULL, i8 = 9007199254740991, f4 = 0.1, f8 = -0.0, n = 123456789012345678901234567890.5, n2 = 1.5, j = '[]', jb = '1.50', t = 'x'
  WHERE id = 2;
---
INSERT INTO t (id, f4, f8, n, i8, d, tz) VALUES (3, 1.5, 1e21, 1e-7, 9007199254740992, '2020-02-29', '2020-02-29 12:00+00');
UPDATE t SET tm = '12:34:56.789', tmz = '12:34:56+05:30', m = 'ok', jb = '{"z": [1, {"y": null}], "a": "\u00e4"}' WHERE id = 3;
---
DELETE FROM t WHERE id = 9007199254740993;

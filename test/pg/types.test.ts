import {expect, test} from 'vitest';
import {createQueryRegistry} from '../../src/ivm/query-registry.ts';
import {silentLog} from '../../src/observe/log.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {Random} from '../helpers/random.ts';
import {type Replicating, replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

const text = (value: string) => `'${value.replaceAll("'", "''")}'`;
const TEXTS = [
  '',
  'a',
  'NULL',
  'null',
  '007',
  '1e5',
  ' 12 ',
  "it's",
  'tab\tnew\nline\r',
  '\\N',
  '{a,"b"}',
  '"',
  'ünïcödé 🙂',
  '9007199254740993',
];
const int = (bits: number) => (r: Random) =>
  r.pick([`-${2n ** BigInt(bits - 1)}`, `${2n ** BigInt(bits - 1) - 1n}`, '0', '-1', String(r.int(30_000))]);
const float = (r: Random) =>
  r.pick([
    'NaN',
    'Infinity',
    '-Infinity',
    '0.1',
    '-0',
    '1e-40',
    '3.4e38',
    '16777217',
    String(r.next() * 1e6),
  ]);
const date = (r: Random) =>
  r.pick([
    'infinity',
    '-infinity',
    '0044-03-15 BC',
    '4713-01-01 BC',
    '5874897-12-31',
    `19${10 + r.int(90)}-0${1 + r.int(9)}-1${r.int(10)}`,
  ]);
const time = (r: Random) =>
  r.pick([
    '00:00:00',
    '24:00:00',
    '23:59:59.999999',
    `${10 + r.int(13)}:0${r.int(10)}:30.${r.int(1_000_000)}`,
  ]);
const stamp = (r: Random) =>
  r.pick([
    'infinity',
    '-infinity',
    '0001-01-01 00:00:00 BC',
    '294276-12-31 23:59:59.999999',
    `20${10 + r.int(80)}-02-1${r.int(10)} ${time(r).replace('24:00:00', '12:00')}`,
  ]);
const json = (r: Random) =>
  r.pick([
    'null',
    '1.50',
    '"x"',
    '[1,  2]',
    '{"a": {"b": [true, null]}}',
    '1e400',
    '12345678901234567890.5',
    '"\\ud83d\\ude42 \\\\ \\""',
    '{"a":1,"a":2}',
    '-0.0',
  ]);

/** Name of a type → a random value of it, as text. */
const TYPES: Readonly<Record<string, (r: Random) => string>> = {
  bool: r => r.pick(['t', 'f']),
  int2: int(16),
  int4: int(32),
  int8: int(64),
  float4: float,
  float8: r => r.pick([float(r), '1.7976931348623157e308', '5e-324', '9007199254740993']),
  numeric: r =>
    r.pick([
      'NaN',
      'Infinity',
      '1e20',
      '-1e400',
      '0.1',
      '12.50',
      '9007199254740993',
      `${'9'.repeat(60)}.${'1'.repeat(30)}`,
      '1e-300',
      '10000000000000000',
    ]),
  'numeric(12,3)': r => String(r.next() * 1e6),
  date,
  time,
  timetz: r => `${time(r)}${r.pick(['+00', '-11:30', '+05:45:30'])}`,
  timestamp: stamp,
  timestamptz: stamp,
  text: r => r.pick(TEXTS),
  'varchar(40)': r => r.pick(TEXTS),
  'char(5)': r => r.pick(['', 'a', '12', '007  ']),
  '"char"': r => r.pick(['a', '7', '']),
  uuid: r =>
    r.pick([
      '00000000-0000-0000-0000-000000000000',
      '12345678-1234-1234-1234-123456789012',
      '1e500000-0000-4000-8000-000000000000',
    ]),
  inet: r => r.pick(['10.0.0.1', '10.1.0.0/16', '::1', '2001:db8::/32']),
  cidr: r => r.pick(['10.0.0.0/8', '2001:db8::/32']),
  macaddr: () => '08:00:2b:01:02:03',
  macaddr8: () => '08:00:2b:01:02:03:04:05',
  pg_lsn: r => r.pick(['0/0', '16/B374D848']),
  json: r => r.pick([json(r), ' {"spaced" :\n1 } ']),
  jsonb: r => json(r),
  bytea: r => r.pick(['\\x', '\\x00ff', '\\x5c78']),
  interval: r => r.pick(['1 year 2 mons -3 days 04:05:06.789', '00:00:00', '-1 day']),
  money: r => r.pick(['1.50', '-2.00']),
  point: r => r.pick(['(1,2)', '(1e300,-0.5)']),
  box: () => '((0,0),(1,1))',
  'bit(3)': () => '101',
  tsvector: () => "'a':1 'b''c':2",
  xml: () => '<a b="1">x</a>',
  int4range: r => r.pick(['empty', '[1,5)', '(,3)']),
  tstzrange: () => '["2020-01-01 00:00:00+00",infinity)',
  int8multirange: r => r.pick(['{}', '{[1,3),[5,6)}']),
  int2vector: () => '1 2 3',
  mood: r => r.pick(['sad', 'NULL', '1', 'a "b", c']),
  printer: r => r.pick(['007', '1e5']),
  pair: r => r.pick(['(1,x)', '(,"a ""b"", c")']),
  upc: r => r.pick(['036000291452', '1e5']),
  posint: r => String(1 + r.int(1000)),
  posint2: r => String(1 + r.int(1000)),
  moody: r => r.pick(['sad', '1']),
  ints: r => r.pick(['{1,NULL,3}', '{}', '{{1,2},{3,4}}', '[0:1]={5,6}']),
  when_: stamp,
};
const NO_ARRAY = new Set(['int2vector', 'ints']);

const DDL = `
  CREATE TYPE mood AS ENUM ('sad', 'NULL', '1', 'a "b", c'); CREATE TYPE printer AS ENUM ('007', '1e5');
  CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN upc AS text; CREATE DOMAIN posint AS int CHECK (value > 0); CREATE DOMAIN posint2 AS posint;
  CREATE DOMAIN moody AS mood; CREATE DOMAIN ints AS int[]; CREATE DOMAIN when_ AS timestamptz;`;

/** Every type as a plain column and as an array. */
const columns = Object.keys(TYPES).flatMap((type, i) => [
  {name: `c${i}`, type, array: false, base: type},
  ...(NO_ARRAY.has(type) ? [] : [{name: `a${i}`, type: `${type}[]`, array: true, base: type}]),
]);

const randomRow = (r: Random): string =>
  columns
    .map(({type, array, base}) => {
      const make = TYPES[base]!;
      if (r.chance(0.1)) return 'NULL';
      if (!array) return `${text(make(r))}::${type}`;
      const element = () => (r.chance(0.25) ? 'NULL' : `${text(make(r))}::${base}`);
      const list = () => `ARRAY[${Array.from({length: 2}, element).join()}]::${type}`;
      return r.pick([`'{}'::${type}`, list(), list(), `ARRAY[${list()},${list()}]`]);
    })
    .join(', ');

/** Rows with their storage classes, as bytes: what "equal" means here. */
const stored = (replica: Replicating, where: string) =>
  replica.rows(
    `SELECT ${columns.map(({name}) => `typeof(${name}), CASE typeof(${name}) WHEN 'blob' THEN hex(${name}) ELSE quote(${name}) END`).join(', ')}
     FROM typed WHERE ${where} ORDER BY id % 1000`,
  );

test('a row copied by the initial sync equals the same row streamed, for values of every type', async () => {
  const random = new Random(Date.now() % 100_000);
  await using db = await createDatabase(
    `${DDL} CREATE TABLE typed (id int PRIMARY KEY, ${columns.map(({name, type}) => `${name} ${type}`).join(', ')});
     ${Array.from({length: 40}, (_, id) => `INSERT INTO typed VALUES (${id}, ${randomRow(random)});`).join('\n')}`,
  );
  // Whatever the database prefers must not reach the replica.
  await db.query(`ALTER DATABASE "${db.name}" SET DateStyle = 'German';
    ALTER DATABASE "${db.name}" SET IntervalStyle = 'iso_8601'; ALTER DATABASE "${db.name}" SET TimeZone = 'Asia/Kathmandu';
    ALTER DATABASE "${db.name}" SET bytea_output = 'escape'; ALTER DATABASE "${db.name}" SET extra_float_digits = -3`);
  await using replica = await replicating(db);
  const names = columns.map(({name}) => name).join();
  await db.query(`INSERT INTO typed SELECT id + 1000, ${names} FROM typed`);
  await db.query(`ALTER TABLE typed REPLICA IDENTITY FULL`);
  await db.query(
    `INSERT INTO typed (id) SELECT id + 2000 FROM typed WHERE id < 1000; UPDATE typed t SET (${names}) =
       (SELECT ${names} FROM typed f WHERE f.id = t.id - 2000) WHERE id >= 2000`,
  );
  await replica.caughtUp();
  const copied = stored(replica, 'id < 1000');
  expect(copied).toHaveLength(40);
  expect(stored(replica, 'id BETWEEN 1000 AND 1999'), `seed ${random.seed}`).toEqual(copied);
  expect(stored(replica, 'id >= 2000'), `seed ${random.seed}`).toEqual(copied);
});

test('clients get the documented value of every type, and are told what they do not get', async () => {
  await using db = await createDatabase(`${DDL}
    CREATE TABLE v (id int PRIMARY KEY, b bool, big int8, f4 float4, f8 float8, n numeric, huge numeric, nan float8, inf numeric,
      d date, dinf date, t time, tz timetz, ts timestamp, bc timestamptz, c char(3), u uuid, ip inet, j json, jb jsonb, m mood,
      up upc, dom posint2, dm moody, dints ints, ia int8[], fa float8[], tsa timestamptz[], tma time[], ja jsonb[], ba bool[],
      ma mood[], upa upc[], pt point, pr pair, iv interval, by bytea, gen int GENERATED ALWAYS AS (id * 2) STORED);
    INSERT INTO v VALUES (1, true, 9007199254740991, 0.1, 0.1, 12.50, 1e20, 'NaN', '-Infinity', '2020-02-29', 'infinity',
      '24:00', '00:30+01', '1999-12-31 23:59:59.123456', '0044-03-15 12:00:00+00 BC', 'a', '12345678-1234-1234-1234-123456789012',
      '10.0.0.1', ' {"a": 1.50}', '{"b":2}', 'NULL', '036000291452', 7, '1', '{1,2}', '{1,NULL}', '{NULL,Infinity,NaN,0.5}',
      '{NULL,"1970-01-01 00:00:01+00"}', '{NULL,00:00:01}', ARRAY[NULL, '{"a": [1]}']::jsonb[], '{t,NULL,f}',
      ARRAY[NULL, 'NULL']::mood[], '{007,NULL}', '(1,2)', '(1,x)', '1 day', '\\x00');`);
  await using replica = await replicating(db);
  const registry = createQueryRegistry({
    replicaFile: replica.config.replica.file,
    appID: db.appID,
    log: silentLog,
    slowHydrateMs: 1000,
    lingerRows: 0,
  });
  const graph = await registry.acquire({table: 'v'}, {});
  const client = JSON.parse(graph.rows()[0]!.put);
  registry.close();
  expect(client).toEqual({
    id: 1,
    b: true,
    big: 9007199254740991,
    f4: 0.1,
    f8: 0.1,
    n: 12.5,
    huge: 1e20,
    nan: null,
    inf: Number.NEGATIVE_INFINITY,
    d: Date.UTC(2020, 1, 29),
    dinf: Number.POSITIVE_INFINITY,
    t: 86_400_000,
    tz: 84_600_000,
    ts: 946684799123.456,
    bc: Date.parse('-000043-03-15T12:00:00Z'),
    c: 'a  ',
    u: '12345678-1234-1234-1234-123456789012',
    ip: '10.0.0.1',
    j: {a: 1.5},
    jb: {b: 2},
    m: 'NULL',
    up: '036000291452',
    dom: 7,
    dm: '1',
    dints: [1, 2],
    ia: [1, null],
    fa: [null, Number.POSITIVE_INFINITY, null, 0.5],
    tsa: [null, 1000],
    tma: [null, 1000],
    ja: [null, {a: [1]}],
    ba: [true, null, false],
    ma: [null, 'NULL'],
    upa: ['007', null],
  });
  const left = replica.logged.filter(line => line?.includes('clients cannot sync'));
  expect(left.map(line => /column v\.(\w+) has type (\w+)/.exec(line)?.slice(1))).toEqual([
    ['pt', 'point'],
    ['pr', 'pair'],
    ['iv', 'interval'],
    ['by', 'bytea'],
  ]);
});

test('an integer beyond 2^53 fails only queries that return its row, and says where it is', async () => {
  await using db = await createDatabase(
    `CREATE TABLE big (id int PRIMARY KEY, n int8, k int NOT NULL DEFAULT 0); INSERT INTO big VALUES (1, 5), (2, 9007199254740993)`,
  );
  await using replica = await replicating(db);
  const registry = createQueryRegistry({
    replicaFile: replica.config.replica.file,
    appID: db.appID,
    log: silentLog,
    slowHydrateMs: 1000,
    lingerRows: 0,
  });
  const byId = (id: number) =>
    registry.acquire(
      {
        table: 'big',
        where: {
          type: 'simple',
          op: '=',
          left: {type: 'column', name: 'id'},
          right: {type: 'literal', value: id},
        },
      },
      {},
    );
  await expect(byId(2)).rejects.toThrow(/big\.n is beyond/);
  await expect(registry.acquire({table: 'big'}, {})).rejects.toThrow(/big\.n is beyond/);
  const [one, three] = [await byId(1), await byId(3)];
  expect(one.rows()).toHaveLength(1);
  // Such a value that arrives later ends the graph it belongs to and no other.
  await db.query('INSERT INTO big VALUES (3, -9223372036854775808); UPDATE big SET k = 1 WHERE id = 1');
  await replica.caughtUp();
  const epoch = await until2(() => registry.advance());
  expect(epoch.failed.map(({graph, error}) => [graph === three, error.message])).toEqual([
    [true, expect.stringMatching(/big\.n is beyond/)],
  ]);
  expect(JSON.parse(one.rows()[0]!.put)).toEqual({id: 1, n: 5, k: 1});
  registry.close();
});

const until2 = async <T>(attempt: () => Promise<T | null> | T | null): Promise<T> => {
  let result: T | null = null;
  await until(async () => (result = await attempt()) !== null, 'there is a result');
  return result!;
};

import {chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {parseConfig} from '../../src/config/parse-config.ts';
import {ConfigError} from '../../src/errors.ts';

const base = {
  ZERO_UPSTREAM_DB: 'postgres://localhost/app',
  ZERO_ADMIN_PASSWORD: 'x',
  ZERO_NUM_SYNC_WORKERS: '1',
};

const problemsOf = (env: NodeJS.ProcessEnv): readonly string[] => {
  try {
    parseConfig([], {...base, ...env});
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

/** Settings · what the one problem says; undefined: no problem. */
const RULES: readonly (readonly [NodeJS.ProcessEnv, RegExp | undefined])[] = [
  [{ZERO_UPSTREAM_DB: undefined}, /^Missing required option ZERO_UPSTREAM_DB /],
  [{ZERO_UPSTREAM_DB: 'localhost'}, /^ZERO_UPSTREAM_DB .* must be a URL/],
  [{ZERO_UPSTREAM_DB: 'mysql://localhost/app'}, /^ZERO_UPSTREAM_DB .* must be a URL/],
  [{ZERO_UPSTREAM_DB: 'postgresql://user@/app?host=/run/postgresql'}, undefined],
  [{ZERO_UPSTREAM_DB: 'postgres://u:pass/word@localhost/app'}, /^ZERO_UPSTREAM_DB .* percent-encoded$/],
  [{ZERO_UPSTREAM_DB: 'postgres://u:1#2@localhost/app'}, /^ZERO_UPSTREAM_DB .* percent-encoded$/],
  [{ZERO_UPSTREAM_DB: 'postgres://u:p@ss@localhost/app'}, undefined],
  [{ZERO_CVR_DB: 'x'}, /^ZERO_CVR_DB .* must be a URL/],
  [{ZERO_CHANGE_DB: 'x'}, /^ZERO_CHANGE_DB .* must be a URL/],
  [{ZERO_UPSTREAM_TYPE: 'custom'}, /^ZERO_UPSTREAM_TYPE /],
  [{ZERO_APP_ID: 'My-App'}, /^ZERO_APP_ID .* lower-case/],
  [{ZERO_APP_ID: 'my_app_2'}, undefined],
  [{ZERO_SHARD_ID: '0'}, /^ZERO_SHARD_ID .* use ZERO_APP_ID/],
  [{ZERO_SHARD_NUM: '-1'}, /^ZERO_SHARD_NUM .* whole number/],
  [{ZERO_APP_PUBLICATIONS: '_x'}, /^ZERO_APP_PUBLICATIONS .*"_x" begins with an underscore/],
  [{ZERO_APP_PUBLICATIONS: 'a b'}, /^ZERO_APP_PUBLICATIONS .* letters, digits/],
  [{ZERO_APP_PUBLICATIONS: 'p'.repeat(64)}, /^ZERO_APP_PUBLICATIONS .* 63 bytes/],
  [{ZERO_APP_PUBLICATIONS: 'p'.repeat(63)}, undefined],
  [{ZERO_PORT: '65536'}, /^ZERO_PORT .* from 0 to 65535, is "65536"$/],
  [{ZERO_PORT: '1.5'}, /^ZERO_PORT /],
  [{ZERO_PORT: '-1'}, /^ZERO_PORT /],
  [{ZERO_PORT: '65535'}, /^ZERO_PORT .* no port for the change-streamer/],
  [{ZERO_CHANGE_STREAMER_PORT: '4848'}, /^ZERO_CHANGE_STREAMER_PORT .* differ from ZERO_PORT/],
  [{ZERO_CHANGE_LOG_BATCH_SIZE: '0'}, /^ZERO_CHANGE_LOG_BATCH_SIZE .* at least 1/],
  [{ZERO_CHANGE_MAX_CONNS: '0'}, /^ZERO_CHANGE_MAX_CONNS /],
  [{ZERO_NUM_SYNC_WORKERS: '2.5'}, /^ZERO_NUM_SYNC_WORKERS /],
  [{ZERO_INITIAL_SYNC_TABLE_COPY_WORKERS: '0'}, /^ZERO_INITIAL_SYNC_TABLE_COPY_WORKERS /],
  [{ZERO_SHADOW_SYNC_SAMPLE_RATE: '0'}, /above 0 and at most 1/],
  [{ZERO_SHADOW_SYNC_SAMPLE_RATE: '1'}, undefined],
  [{ZERO_PER_USER_MUTATION_LIMIT_MAX: '-1'}, /^ZERO_PER_USER_MUTATION_LIMIT_MAX /],
  [{ZERO_PER_USER_MUTATION_LIMIT_WINDOW_MS: '0'}, /^ZERO_PER_USER_MUTATION_LIMIT_WINDOW_MS /],
  [{ZERO_NUM_SYNC_WORKERS: '8', ZERO_CVR_MAX_CONNS: '4'}, /^ZERO_CVR_MAX_CONNS .*ZERO_NUM_SYNC_WORKERS/],
  [
    {ZERO_NUM_SYNC_WORKERS: '8', ZERO_UPSTREAM_MAX_CONNS: '4'},
    /^ZERO_UPSTREAM_MAX_CONNS .*ZERO_NUM_SYNC_WORKERS/,
  ],
  [
    {ZERO_NUM_SYNC_WORKERS: '8', ZERO_UPSTREAM_MAX_CONNS: '4', ZERO_ENABLE_CRUD_MUTATIONS: 'false'},
    undefined,
  ],
  [{ZERO_ADMIN_PASSWORD: undefined}, /^Missing required option ZERO_ADMIN_PASSWORD /],
  [{ZERO_ADMIN_PASSWORD: undefined, NODE_ENV: 'development'}, undefined],
  [{ZERO_ADMIN_PASSWORD: undefined, NODE_ENV: 'production'}, /^Missing required option ZERO_ADMIN_PASSWORD /],
  [{ZERO_AUTH_SECRET: 'a', ZERO_AUTH_JWKS_URL: 'https://a.example/keys'}, /one key only/],
  [{ZERO_AUTH_JWKS_URL: 'keys'}, /^ZERO_AUTH_JWKS_URL .* URL$/],
  [{ZERO_MUTATE_URL: 'https://a.example/m,nonsense'}, /^ZERO_MUTATE_URL .* entry 2 /],
  [{ZERO_QUERY_URL: 'https://a.example/(x'}, /^ZERO_QUERY_URL .* entry 1 /],
  [{ZERO_MUTATE_URL: 'https://*.a.example/api/:version/mutate,http{s}?://b.example:*/{x/}?y'}, undefined],
  [{ZERO_CHANGE_STREAMER_URI: 'manager:4849'}, /^ZERO_CHANGE_STREAMER_URI .* must be a URL/],
  [{ZERO_LITESTREAM_BACKUP_URL: 's3://b/p'}, /^ZERO_LITESTREAM_BACKUP_URL .*ZERO_LITESTREAM_EXECUTABLE_V5/],
  [{ZERO_LITESTREAM_BACKUP_URL: 's3://b/p', ZERO_LITESTREAM_RESTORE_USING_V5: 'false'}, undefined],
  [{ZERO_LITESTREAM_BACKUP_URL: 's3://b/p', ZERO_LITESTREAM_EXECUTABLE_V5: '/bin/l'}, undefined],
  [
    {ZERO_LITESTREAM_BACKUP_USING_V5: 'true', ZERO_LITESTREAM_RESTORE_USING_V5: 'false'},
    /^ZERO_LITESTREAM_BACKUP_USING_V5 /,
  ],
  [{ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_READ_PERCENT: '5'}, /must be 0 unless .* serve/],
  [{ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_COMPARE_PERCENT: '101'}, /from 0 to 100/],
  [{ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_RETENTION_MS: '0'}, /at least 1/],
  [
    {
      ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_MODE: 'serve',
      ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_COLD_READ_PERCENT: '5',
    },
    /COLD_READ_PERCENT: needs/,
  ],
];

test.each(RULES)('%o: %s', (env, expected) => {
  const problems = problemsOf(env);
  if (expected === undefined) return expect(problems).toEqual([]);
  const [first, ...others] = problems;
  expect(first).toMatch(expected);
  expect(others).toEqual([]);
});

test('all problems are reported at once', () => {
  const problems = problemsOf({
    ZERO_UPSTREAM_DB: '',
    ZERO_ADMIN_PASSWORD: '',
    ZERO_APP_ID: 'My-App',
    ZERO_PORT: 'abc',
    ZERO_LOG_LEVEL: 'loud',
    ZERO_CVR_MAX_CONNS: '0',
  });
  expect(problems).toHaveLength(6);
});

test('several nodes, and what they exclude', () => {
  const view = {ZERO_CHANGE_STREAMER_URI: 'ws://manager:4849/'};
  const lazy = expect.stringMatching(/^ZERO_LAZY_STARTUP /);
  for (const role of [view, {ZERO_CHANGE_STREAMER_MODE: 'discover'}, {ZERO_NUM_SYNC_WORKERS: '0'}]) {
    expect(problemsOf(role)).toEqual([]);
    expect(problemsOf({...role, ZERO_LAZY_STARTUP: 'true'})).toEqual([lazy]);
  }
  expect(problemsOf({...view, ZERO_NUM_SYNC_WORKERS: '0'})).toEqual([
    expect.stringMatching(/^ZERO_NUM_SYNC_WORKERS .* view-syncer/),
  ]);
  expect(problemsOf({...view, ZERO_CHANGE_STREAMER_SQLITE_CHANGE_LOG_MODE: 'write'})).toEqual([
    expect.stringMatching(/SQLITE_CHANGE_LOG_MODE .* only for the node/),
  ]);
});

test('doubtful settings are warned of', () => {
  const warningsOf = (env: NodeJS.ProcessEnv) => parseConfig([], {...base, ...env}).warnings;
  for (const host of ['h:6543', 'ep-1-pooler.region.example', 'pgbouncer:5432', 'h:6432'])
    expect(warningsOf({ZERO_UPSTREAM_DB: `postgres://${host}/d`})).toEqual([
      expect.stringMatching(/connection pooler/),
    ]);
  expect(warningsOf({ZERO_PUSH_URL: 'http://a/', ZERO_MUTATE_URL: 'http://b/'})).toContainEqual(
    expect.stringMatching(/^ZERO_MUTATE_URL .* wins/),
  );
  expect(warningsOf({ZERO_GET_QUERIES_URL: 'http://a/', ZERO_QUERY_URL: 'http://b/'})).toContainEqual(
    expect.stringMatching(/^ZERO_GET_QUERIES_URL .* wins/),
  );
});

describe('the path of the replica', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'config-'));
    mkdirSync(join(dir, 'sub'));
    mkdirSync(join(dir, 'locked'));
    chmodSync(join(dir, 'locked'), 0o500);
    writeFileSync(join(dir, 'file'), '');
  });
  afterAll(() => rmSync(dir, {recursive: true}));

  test.each([
    ['new.db', undefined],
    ['file', undefined],
    ['sub', /is a directory/],
    ['missing/new.db', /does not exist; create it/],
    ['file/new.db', /is not a directory|cannot be/],
  ])('%s: %s', (path, expected) => {
    const problems = problemsOf({ZERO_REPLICA_FILE: join(dir, path)});
    if (expected === undefined) expect(problems).toEqual([]);
    else expect(problems).toEqual([expect.stringMatching(expected)]);
  });

  test.skipIf(process.getuid?.() === 0)('a directory without the right to write', () => {
    expect(problemsOf({ZERO_REPLICA_FILE: join(dir, 'locked', 'new.db')})).toEqual([
      expect.stringMatching(/cannot be written/),
    ]);
  });
});

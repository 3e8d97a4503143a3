import {describe, expect, test} from 'vitest';
import {deserializeConfig, serializeConfig} from '../../src/config/handed-config.ts';
import {isConfigured, parseConfig} from '../../src/config/parse-config.ts';
import {ConfigError, PipelineBug} from '../../src/errors.ts';

const base = {
  ZERO_UPSTREAM_DB: 'postgres://zero:hunter2@db.example:5432/app',
  ZERO_ADMIN_PASSWORD: 'open-sesame',
};

/** The problems of a configuration that must not parse. */
const problemsOf = (argv: readonly string[], env: NodeJS.ProcessEnv = {}): readonly string[] => {
  try {
    parseConfig(argv, {...base, ...env});
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('expected a ConfigError');
};

const configOf = (argv: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  parseConfig(argv, {...base, ...env}).config;

describe('precedence', () => {
  test('the command line wins over the environment, and that over the default', () => {
    expect(configOf([]).port).toBe(4848);
    expect(configOf([], {ZERO_PORT: '5000'}).port).toBe(5000);
    expect(configOf(['--port', '6000'], {ZERO_PORT: '5000'}).port).toBe(6000);
  });

  test('a list is replaced, not merged', () => {
    expect(configOf(['--app-publications', 'c'], {ZERO_APP_PUBLICATIONS: 'a,b'}).app.publications).toEqual([
      'c',
    ]);
  });

  test('an empty variable counts as unset', () => {
    expect(configOf([], {ZERO_PORT: '', ZERO_APP_ID: '', ZERO_AUTO_RESET: ''})).toMatchObject({
      port: 4848,
      app: {id: 'zero'},
      autoReset: true,
    });
  });

  test('a later flag wins over an earlier one', () => {
    expect(configOf(['--port', '6000', '--port=7000']).port).toBe(7000);
  });
});

describe('types', () => {
  test.each(['true', '1', 'TRUE', 'True'])('boolean %s is true', text => {
    expect(configOf([], {ZERO_WEBSOCKET_COMPRESSION: text}).websocketCompression).toBe(true);
  });

  test.each(['false', '0', 'FALSE'])('boolean %s is false', text => {
    expect(configOf([], {ZERO_AUTO_RESET: text}).autoReset).toBe(false);
  });

  test('a boolean flag stands alone, with a value, or negated', () => {
    expect(configOf(['--websocket-compression']).websocketCompression).toBe(true);
    expect(configOf(['--websocket-compression', '--port', '1']).websocketCompression).toBe(true);
    expect(configOf(['--auto-reset', 'false']).autoReset).toBe(false);
    expect(configOf(['--auto-reset=0']).autoReset).toBe(false);
    expect(configOf(['--no-auto-reset']).autoReset).toBe(false);
    expect(configOf(['--no-auto-reset'], {ZERO_AUTO_RESET: 'true'}).autoReset).toBe(false);
  });

  test.each(['yes', 'on', '2', ' '])('"%s" is no boolean', text => {
    expect(problemsOf([], {ZERO_AUTO_RESET: text})).toEqual([
      `ZERO_AUTO_RESET (--auto-reset): must be true or false (1 and 0 will do), is "${text}"`,
    ]);
  });

  test('a number is whatever Number() reads', () => {
    expect(configOf([], {ZERO_WEBSOCKET_MAX_PAYLOAD_BYTES: '1e6'}).websocketMaxPayloadBytes).toBe(1_000_000);
    expect(configOf(['--replication-lag-report-interval-ms', '-1']).replicationLagReportIntervalMs).toBe(-1);
  });

  test.each(['abc', '12px', 'Infinity', ' '])('"%s" is no number', text => {
    expect(problemsOf([], {ZERO_YIELD_THRESHOLD_MS: text})).toEqual([
      `ZERO_YIELD_THRESHOLD_MS (--yield-threshold-ms): must be a number of at least 0, is "${text}"`,
    ]);
  });

  test('lists: commas in the environment, several values on the command line', () => {
    expect(configOf([], {ZERO_APP_PUBLICATIONS: 'a, b,'}).app.publications).toEqual(['a', 'b']);
    expect(configOf(['--app-publications', 'a', 'b', '--port', '1']).app.publications).toEqual(['a', 'b']);
    expect(configOf(['--app-publications=a', '--app-publications=b']).app.publications).toEqual(['a', 'b']);
  });

  test('a choice is one of its words', () => {
    expect(configOf(['--log-format', 'json']).log.format).toBe('json');
    expect(problemsOf(['--log-level', 'loud'])).toEqual([
      'ZERO_LOG_LEVEL (--log-level): must be one of debug, info, warn, error, is "loud"',
    ]);
  });

  test('JSON is kept as text', () => {
    const text = '{"level": 3}';
    expect(configOf([], {ZERO_WEBSOCKET_COMPRESSION_OPTIONS: text}).websocketCompressionOptions).toBe(text);
    for (const bad of ['{', '3', '[]', 'null'])
      expect(problemsOf([], {ZERO_WEBSOCKET_COMPRESSION_OPTIONS: bad})).toEqual([
        'ZERO_WEBSOCKET_COMPRESSION_OPTIONS (--websocket-compression-options): must be a JSON object',
      ]);
  });

  test('a value that begins with a dash goes behind an equals sign', () => {
    expect(configOf(['--admin-password=-x-']).adminPassword).toBe('-x-');
  });
});

describe('arguments that are no options', () => {
  test('an unknown flag is an error with a suggestion', () => {
    expect(problemsOf(['--prot', '5000'])).toEqual(['--prot: unknown option; did you mean --port?']);
    expect(problemsOf(['--num-sync-worker=2'])).toEqual([
      '--num-sync-worker: unknown option; did you mean --num-sync-workers?',
    ]);
    expect(problemsOf(['--entirely-different'])).toEqual([
      '--entirely-different: unknown option; --help lists them all',
    ]);
  });

  test('flags after an unknown one are still read', () => {
    expect(problemsOf(['--nonsense', 'x', '--log-level', 'loud'])).toHaveLength(2);
  });

  test('a stray argument is an error', () => {
    expect(problemsOf(['serve'])).toEqual([
      'an argument belongs to no option; options begin with two dashes, as in --port 4848',
    ]);
  });

  test.each([['--port'], ['--port', '--log-level', 'info'], ['--port='], ['--app-publications']])(
    'a flag without a value is an error: %s',
    (...argv) => {
      const [problem, ...others] = problemsOf(argv);
      expect(problem).toMatch(/^--(port|app-publications): needs a value/);
      expect(others).toEqual([]);
    },
  );

  test('an unknown variable is a warning with a suggestion', () => {
    const {warnings} = parseConfig([], {...base, ZERO_PROT: '1', ZERO_SCHEMA_PATH: 'x', OTHER: 'y'});
    expect(warnings).toEqual(['ZERO_PROT: no such option, ignored; did you mean ZERO_PORT?']);
    expect(problemsOf([], {ZERO_UPSTREAM_DB: '', ZERO_UPSTREM_DB: 'x'})).toEqual([
      expect.stringMatching(/^Missing required option ZERO_UPSTREAM_DB /),
      'ZERO_UPSTREM_DB: no such option, ignored; did you mean ZERO_UPSTREAM_DB?',
    ]);
  });
});

describe('secrets', () => {
  test('no message repeats a secret or an argument that may be one', () => {
    const secret = 'hunter2-s3cret';
    const problems = problemsOf(
      [
        '--upstream-bd',
        `postgres://u:${secret}@h/d`,
        `--admin-pasword=${secret}`,
        '--cvr-db',
        `mysql://${secret}`,
      ],
      {
        ZERO_UPSTREAM_DB: `host=db password=${secret}`,
        ZERO_CHANGE_DB: `postgres://u:${secret}#@h:port/d`,
        ZERO_AUTH_JWK: secret,
        ZERO_AUTH_SECRET: secret,
        ZERO_MUTATE_URL: `ftp://u:${secret}@h`,
        ZERO_APP_PUBLICATIONS: `-${secret}`,
      },
    );
    expect(problems.length).toBeGreaterThanOrEqual(7);
    expect(problems.join('\n')).not.toContain(secret);
    expect(() => parseConfig([secret], {ZERO_ADMIN_PASSWORD: secret})).toThrow(
      expect.objectContaining({message: expect.not.stringContaining(secret)}),
    );
  });

  test('nor do warnings and notices', () => {
    const {warnings, notices} = parseConfig([], {
      ...base,
      ZERO_AUTH_SECRET: 'hunter2',
      ZERO_PUSH_API_KEY: 'hunter2',
      ZERO_UPSTREAM_DB: 'postgres://u:hunter2@db-pooler.example/d',
    });
    expect(warnings).toHaveLength(3);
    expect([...warnings, ...notices].join('\n')).not.toContain('hunter2');
  });
});

describe('notices and deprecations', () => {
  test('a feature not built yet is told in one line, under the name that was used', () => {
    const {notices} = parseConfig(['--shadow-sync-enabled'], {
      ...base,
      ZERO_LOG_SLOW_ROW_THRESHOLD: '5',
    });
    expect(notices).toEqual([
      expect.stringMatching(/^ZERO_LOG_SLOW_ROW_THRESHOLD: accepted, but not built yet/),
      expect.stringMatching(/^--shadow-sync-enabled: accepted, but not built yet/),
    ]);
  });

  test('so is one that has nothing to do here', () => {
    const {notices} = parseConfig([], {...base, ZERO_LITESTREAM_RESTORE_PARALLELISM: '4'});
    expect(notices).toEqual([
      expect.stringMatching(/^ZERO_LITESTREAM_RESTORE_PARALLELISM: accepted, but has/),
    ]);
    const socket = parseConfig([], {...base, ZERO_PG_SOCKET_INACTIVITY_TIMEOUT: '1000'});
    expect(socket.warnings).toEqual([]);
    expect(socket.notices).toEqual([
      expect.stringMatching(/^ZERO_PG_SOCKET_INACTIVITY_TIMEOUT: accepted, but has nothing to do here/),
    ]);
  });

  test('saying the default needs no line', () => {
    expect(parseConfig(['--no-lazy-startup'], {...base, ZERO_LITESTREAM_LOG_LEVEL: 'warn'}).notices).toEqual(
      [],
    );
  });

  test('a plain configuration is silent', () => {
    expect(parseConfig([], base)).toMatchObject({warnings: [], notices: []});
  });

  test('the former names of the endpoints work and warn', () => {
    const {config, warnings} = parseConfig([], {
      ...base,
      ZERO_PUSH_URL: 'https://app.example/push',
      ZERO_PUSH_FORWARD_COOKIES: 'true',
      ZERO_MUTATE_API_KEY: 'k',
      ZERO_GET_QUERIES_URL: 'https://app.example/queries',
    });
    expect(config.mutate).toMatchObject({
      url: ['https://app.example/push'],
      forwardCookies: true,
      apiKey: 'k',
    });
    expect(config.query).toMatchObject({url: ['https://app.example/queries']});
    expect(warnings).toEqual([
      'ZERO_PUSH_URL: deprecated. Use ZERO_MUTATE_URL.',
      'ZERO_PUSH_FORWARD_COOKIES: deprecated. Use ZERO_MUTATE_FORWARD_COOKIES.',
      'ZERO_GET_QUERIES_URL: deprecated. Use ZERO_QUERY_URL.',
    ]);
  });
});

describe('isConfigured', () => {
  test('is false without any option', () => {
    expect(isConfigured([], {PATH: '/bin', ZERO_PORT: '', ZERO_UNKNOWN: 'x'})).toBe(false);
  });

  test('is true with an option, even a mistyped one', () => {
    expect(isConfigured([], {ZERO_CVR_DB: 'x'})).toBe(true);
    expect(isConfigured(['--port', '1'], {})).toBe(true);
    expect(isConfigured(['--upstream-bd', 'x'], {})).toBe(true);
  });
});

describe('handing over', () => {
  test('a child process gets the same configuration', () => {
    const config = configOf(['--app-publications', 'a', 'b', '--per-user-mutation-limit-max', '10']);
    expect(deserializeConfig(serializeConfig(config))).toEqual(config);
  });

  test.each(['', '{}', 'null', '{"upstream":'])('"%s" is no configuration', text => {
    expect(() => deserializeConfig(text)).toThrow(PipelineBug);
  });
});

import pg from 'pg';
import {DATABASE_URL, isDatabaseUrl} from '../config/urls.ts';
import {UpstreamUnreachable} from '../errors.ts';
import {AnswerWatch} from './answer-watch.ts';

export interface ConnectOptions {
  /** Appears in `pg_stat_activity` as `zerostream-<purpose>` and in error messages. */
  readonly purpose: string;
  /** A walsender connection: simple protocol only. */
  readonly replication?: boolean;
}

/**
 * How values are printed, whatever the database, the role or the environment say: COPY and the stream must give the same
 * text. Statements and not startup options, since some proxies refuse those.
 */
const OUTPUT_STYLE =
  "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = postgres; SET TimeZone = 'UTC'; SET bytea_output = hex; SET extra_float_digits = 1";

/** Opens one connection that prints values in `OUTPUT_STYLE`. @throws UpstreamUnreachable, naming host, port and database but no secret. */
export const connect = async (url: string, options: ConnectOptions): Promise<pg.Client> => {
  if (!isDatabaseUrl(url))
    throw new UpstreamUnreachable(`The address of PostgreSQL (${options.purpose}) must be ${DATABASE_URL}.`);
  const client = new pg.Client({
    ...settings(url, options.purpose),
    ...(options.replication ? {replication: 'database'} : {}),
  } as pg.ClientConfig);
  // A connection lost while idle is noticed by the next statement; without a listener it would end the process.
  client.on('error', () => {});
  try {
    await client.connect();
    watchOf(url).add(client);
    await client.query(OUTPUT_STYLE);
  } catch (error) {
    void client.end().catch(() => {});
    throw unreachable(url, options.purpose, error);
  }
  return client;
};

export interface PoolOptions {
  readonly purpose: string;
  readonly max: number;
  /** Statements are sent without waiting for the answers to those before them. */
  readonly pipeline?: boolean;
  /** Statements that every new connection runs first. */
  readonly setUp?: string;
}

/** A pool that opens connections on demand and closes idle ones. */
export const createPool = (url: string, {purpose, max, pipeline = false, setUp}: PoolOptions): pg.Pool => {
  const watch = watchOf(url);
  const config: pg.PoolConfig & {pipeline: boolean} = {
    ...settings(url, purpose),
    max,
    pipeline,
    idleTimeoutMillis: 60_000,
    onConnect: client => {
      watch.add(client);
      // In front of whatever the connection was opened for; if it fails, so does that.
      return setUp ? client.query(setUp) : undefined;
    },
  };
  const pool = new pg.Pool(config);
  pool.on('error', () => {});
  // A connection lost while it is in use tells its statements; beside that it emits an error, which ends the process if
  // nobody listens.
  pool.on('connect', client => client.on('error', () => {}));
  return pool;
};

const watchOf = (url: string): AnswerWatch =>
  new AnswerWatch(async () => {
    const client = new pg.Client({...settings(url, 'liveness'), query_timeout: 10_000});
    client.on('error', () => {});
    await client.connect();
    return client;
  });

const settings = (url: string, purpose: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: `zerostream-${purpose}`,
  keepAlive: true,
  // The system's own delay is two hours, in which nobody would notice that a network has forgotten the connection.
  keepAliveInitialDelayMillis: 30_000,
  connectionTimeoutMillis: 15_000,
});

/** `host:port/database` of a URL, for messages. */
export const describeUrl = (url: string): string => {
  try {
    const {hostname, port, pathname} = new URL(url);
    return `${hostname || 'local socket'}:${port || 5432}${pathname}`;
  } catch {
    return 'an unparsable URL';
  }
};

/** What a failed connection of a pool means, in words; errors of statements pass unchanged. */
export const explainConnection = (url: string, purpose: string, error: unknown): unknown => {
  const {code = '', message = ''} = error as {code?: string; message?: string};
  const refused = /^(E[A-Z]+|28P01|28000|3D000|53300)$/.test(code) || /timeout|terminated/i.test(message);
  return refused ? unreachable(url, purpose, error) : error;
};

const unreachable = (url: string, purpose: string, error: unknown): UpstreamUnreachable => {
  const {code, message} = error as {code?: string; message?: string};
  const hint =
    code === 'ECONNREFUSED'
      ? 'nothing listens there; is PostgreSQL running?'
      : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? 'the host name does not resolve'
        : code === '28P01' || code === '28000'
          ? 'the user or password is refused'
          : code === '3D000'
            ? 'there is no such database'
            : code === '53300'
              ? 'the server has no free connection'
              : message || code || 'no reason given';
  return new UpstreamUnreachable(
    `Cannot connect to PostgreSQL at ${describeUrl(url)} (${purpose}): ${hint}`,
    {
      cause: error,
    },
  );
};

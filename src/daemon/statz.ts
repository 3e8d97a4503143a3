import {stat} from 'node:fs/promises';
import {availableParallelism, cpus, freemem, hostname, loadavg, totalmem, uptime} from 'node:os';
import {changeLogSchema} from '../change-log/schema.ts';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {cvrSchema} from '../cvr/schema.ts';
import type {DaemonInspection} from '../observe/inspection.ts';
import {connect} from '../pg/connect.ts';
import {ident} from '../pg/identifier.ts';
import Database from '../replica/sqlite.ts';

/** Whole tables are counted: at most so long, and not more often. */
const STATEMENT_TIMEOUT_MS = 10_000;
const KEPT_MS = 5000;

const GROUPS = ['upstream', 'cvr', 'changeLog', 'replica', 'replication', 'os'] as const;
type Group = (typeof GROUPS)[number];
type Facts = Readonly<Record<string, unknown>>;

export interface StatzAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * What an operator wants to count now and then (config-ops.md §3, views.md §8.2): `group` names some of the groups, once
 * or more often; `format=json` and `pretty` say how it is shown. A group that fails says so in its own place.
 */
export const createStatz = (
  config: ZeroConfig,
  inspect: () => Promise<DaemonInspection>,
): ((params: URLSearchParams) => Promise<StatzAnswer>) => {
  const shard = shardName(config);
  const read: Record<Group, () => Promise<Facts>> = {
    upstream: () => query(config.upstream.db, upstreamCounts(ident(shard))),
    cvr: () => query(config.cvr.db, cvrCounts(cvrSchema(shard))),
    changeLog: () => query(config.change.db, changeLogCounts(changeLogSchema(shard))),
    replica: () => replicaFacts(config.replica.file),
    replication: async () => ({...(await inspect()).replicator, stages: undefined}),
    os: async () => ({
      host: hostname(),
      uptimeSeconds: uptime(),
      loadAverage: loadavg(),
      processors: availableParallelism(),
      processorModel: cpus()[0]?.model ?? null,
      totalMemoryBytes: totalmem(),
      freeMemoryBytes: freemem(),
    }),
  };
  const kept = new Map<Group, {readonly atMs: number; readonly facts: Promise<Facts>}>();
  const facts = (group: Group): Promise<Facts> => {
    const known = kept.get(group);
    if (known && Date.now() - known.atMs < KEPT_MS) return known.facts;
    const fresh = read[group]().catch((error: unknown) => ({error: (error as Error).message}));
    kept.set(group, {atMs: Date.now(), facts: fresh});
    return fresh;
  };
  return async params => {
    const asked = params.getAll('group').flatMap(names => names.split(','));
    if (asked.some(name => !(GROUPS as readonly string[]).includes(name)))
      return plainText(400, `There is no such group. Ask for some of ${GROUPS.join(', ')}.\n`);
    const groups = GROUPS.filter(group => asked.length === 0 || asked.includes(group));
    const found = Object.fromEntries(
      await Promise.all(groups.map(async group => [group, await facts(group)] as const)),
    );
    if (params.get('format') !== 'json') return plainText(200, asText(found));
    const body = JSON.stringify(found, null, params.has('pretty') ? 2 : undefined);
    return {status: 200, contentType: 'application/json', body};
  };
};

const plainText = (status: number, body: string): StatzAnswer => ({status, contentType: 'text/plain', body});

/** `=== group ===` and a line per fact. */
const asText = (found: Readonly<Record<string, Facts>>): string =>
  Object.entries(found)
    .map(([group, facts]) => {
      const lines = Object.entries(facts).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
      return [`=== ${group} ===`, ...lines, ''].join('\n');
    })
    .join('\n');

/** By name, each of one row and column. */
type Queries = Readonly<Record<string, string>>;

const query = async (url: string, queries: Queries): Promise<Facts> => {
  const client = await connect(url, {purpose: 'statz'});
  try {
    await client.query(`SET statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
    const answers: Record<string, unknown> = {};
    for (const [name, sql] of Object.entries(queries)) {
      const {rows} = await client.query<unknown[]>({text: sql, rowMode: 'array'});
      answers[name] = rows[0]?.[0] ?? null;
    }
    return answers;
  } finally {
    await client.end();
  }
};

const upstreamCounts = (shard: string): Queries => ({
  numReplicas: `SELECT count(*)::int FROM ${shard}.replicas`,
  numClientsWithMutations: `SELECT count(*)::int FROM ${shard}.clients`,
  numMutationsProcessed: `SELECT COALESCE(sum("lastMutationID"), 0)::float8 FROM ${shard}.clients`,
});

const changeLogCounts = (log: string): Queries => ({
  changeLogSize: `SELECT count(*)::float8 FROM ${log}."changeLog"`,
});

/** A query is inactive while no client wants it any more and its time has not run out. */
const cvrCounts = (cvr: string): Queries => {
  const wanted = `SELECT d."clientGroupID", d."clientID", d."queryHash", d."inactivatedAtMs" IS NULL AS active
    FROM ${cvr}.desires d JOIN ${cvr}.instances i USING ("clientGroupID")
    WHERE d."inactivatedAtMs" IS NULL OR d."inactivatedAtMs" + COALESCE(d."ttlMs", 300000) > i."ttlClock"`;
  const queries = `SELECT bool_or(active) AS active FROM (${wanted}) w GROUP BY "clientGroupID", "queryHash"`;
  const percentiles = (values: string) =>
    `SELECT json_build_object('p50', p[1], 'p75', p[2], 'p90', p[3], 'p95', p[4], 'p99', p[5], 'min', min, 'max', max, 'avg', avg)
      FROM (SELECT percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY n) AS p,
        min(n), max(n), avg(n)::float8 AS avg FROM (${values}) v) x`;
  const perClient = (active: boolean) => `SELECT COALESCE(json_agg(x), '[]') FROM (
    SELECT "clientGroupID", "clientID", count(*)::int AS n FROM (${wanted}) w WHERE active = ${active}
    GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100) x`;
  return {
    totalNumQueries: `SELECT count(*)::int FROM ${cvr}.queries WHERE NOT COALESCE(internal, false)`,
    numUniqueQueryHashes: `SELECT count(DISTINCT "queryHash")::int FROM ${cvr}.queries WHERE NOT COALESCE(internal, false)`,
    numActiveQueries: `SELECT count(*)::int FROM (${queries}) q WHERE active`,
    numInactiveQueries: `SELECT count(*)::int FROM (${queries}) q WHERE NOT active`,
    numDeletedQueries: `SELECT count(*)::int FROM ${cvr}.queries WHERE deleted`,
    rowsPerClientGroupPercentiles: percentiles(
      `SELECT count(*)::float8 AS n FROM ${cvr}.rows WHERE "refCounts" IS NOT NULL GROUP BY "clientGroupID"`,
    ),
    totalActiveQueriesPerClientAndClientGroup: perClient(true),
    totalInactiveQueriesPerClientAndClientGroup: perClient(false),
    totalRowsPerClientGroup: `SELECT COALESCE(json_agg(x), '[]') FROM (
      SELECT "clientGroupID", count(*)::int AS n FROM ${cvr}.rows WHERE "refCounts" IS NOT NULL
      GROUP BY 1 ORDER BY 2 DESC LIMIT 100) x`,
    astSizes: percentiles(
      `SELECT length("clientAST"::text)::float8 AS n FROM ${cvr}.queries WHERE "clientAST" IS NOT NULL`,
    ),
    biggestAstHash: `SELECT "queryHash" FROM ${cvr}.queries WHERE "clientAST" IS NOT NULL ORDER BY length("clientAST"::text) DESC LIMIT 1`,
    numClientGroups: `SELECT count(*)::int FROM ${cvr}.instances WHERE NOT deleted`,
  };
};

const PRAGMAS = ['page_size', 'page_count', 'freelist_count', 'journal_mode', 'auto_vacuum'] as const;

const replicaFacts = async (file: string): Promise<Facts> => {
  const bytes = (path: string) =>
    stat(path).then(
      ({size}) => size,
      () => null,
    );
  const db = new Database(file, {readonly: true, fileMustExist: true});
  try {
    const pragmas = PRAGMAS.map(name => [name, db.pragma(name, {simple: true})] as const);
    return {
      file,
      fileBytes: await bytes(file),
      walBytes: await bytes(`${file}-wal`),
      ...Object.fromEntries(pragmas),
    };
  } finally {
    db.close();
  }
};

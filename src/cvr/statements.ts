import {cvrSchema} from './schema.ts';

/**
 * Of "lastActive" days matter, not seconds (views.md §7). While it stays the same no index has to be written for a commit.
 */
const STILL_ACTIVE = `"lastActive" = CASE WHEN i."lastActive" > now() - interval '1 minute' THEN i."lastActive" ELSE now() END`;

/** The statements that write view records, each for many groups at once. */
export const cvrStatements = (shard: string) => {
  const cvr = cvrSchema(shard);
  const upsertRows = `INSERT INTO ${cvr}.rows AS r
          ("clientGroupID", schema, "table", "rowKey", "rowVersion", "patchVersion", "refCounts")`;
  /** A row that only gained or lost a query keeps its versions. */
  const onRowConflict = `ON CONFLICT ("clientGroupID", schema, "table", "rowKey") DO UPDATE SET
          "rowVersion" = CASE WHEN EXCLUDED."rowVersion" = '' THEN r."rowVersion" ELSE EXCLUDED."rowVersion" END,
          "patchVersion" = CASE WHEN EXCLUDED."rowVersion" = '' AND EXCLUDED."refCounts" IS NOT NULL
            THEN r."patchVersion" ELSE EXCLUDED."patchVersion" END,
          "refCounts" = EXCLUDED."refCounts"`;
  /** A column of one entry says it of every key. */
  const rowsOf = (keys: string, ...columns: string[]) => {
    const whole = columns.map(
      column =>
        `CASE WHEN cardinality(${column}) = 1 THEN array_fill((${column})[1], ARRAY[cardinality(${keys})]) ELSE ${column} END`,
    );
    return `CROSS JOIN LATERAL unnest(${[keys, ...whole].join(', ')}) AS x(k, t, rv, rc)`;
  };
  const takenRows = `SELECT y.g, '', x.t, x.k::jsonb, x.rv, y.v, x.rc::jsonb
        FROM taken y ${rowsOf('y.keys', 'y.tables', 'y."rowVersions"', 'y."refCounts"')}`;
  return {
    /**
     * Writes updates whose record is still what they were made from, each checked on its own; one statement is one
     * transaction. $1: JSON array of updates, which name their sets of rows by number, from 1; $2…$5: the columns of the
     * sets, $6 and $7: what stands between two rows and two sets (`rowTexts`). Returns a line per update: `accepted`, and if it was not, the version found and whether a
     * newer connection took the record over.
     *
     * A new record is inserted, an old one updated; both wait for a concurrent writer and then see what it wrote, so that
     * of two writers from one version the second is refused. Records are locked in order: two servers with the same
     * groups wait for each other instead of dead-locking.
     */
    commit: `
      WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1) AS x(g TEXT, expected TEXT, v TEXT, "ttlClock" FLOAT8, "replicaVersion" TEXT,
          owner TEXT, granted FLOAT8, "clientSchema" JSONB, "profileID" TEXT,
          "newClients" JSON, "goneClients" JSON, queries JSON, desires JSON, sets INT[], journal BOOL)),
      row_sets AS MATERIALIZED (
        SELECT s::int AS s, string_to_array(t, $6) AS t, string_to_array(k, $6) AS k,
          -- No text at all would be no row, and is one without a version, or without references.
          CASE WHEN rv <> '' THEN string_to_array(rv, $6) ELSE ARRAY[''] END AS rv,
          CASE WHEN rc <> '' THEN string_to_array(rc, $6, '') ELSE ARRAY[NULL] END AS rc
        FROM unnest(string_to_array($2, $7), string_to_array($3, $7), string_to_array($4, $7), string_to_array($5, $7))
          WITH ORDINALITY AS x(t, k, rv, rc, s)),
      created AS (
        INSERT INTO ${cvr}.instances ("clientGroupID", version, "lastActive", "ttlClock", "replicaVersion", owner,
          "grantedAt", "clientSchema", "profileID", deleted)
        SELECT g, v, now(), "ttlClock", "replicaVersion", owner, to_timestamp(granted), "clientSchema", "profileID", FALSE
        FROM given WHERE expected = '00' ORDER BY g
        ON CONFLICT DO NOTHING RETURNING "clientGroupID" AS g),
      locked AS MATERIALIZED (
        SELECT "clientGroupID" AS g, version, owner, "grantedAt", deleted FROM ${cvr}.instances
        WHERE "clientGroupID" IN (SELECT g FROM given) ORDER BY "clientGroupID" FOR UPDATE),
      updated AS (
        UPDATE ${cvr}.instances i SET version = x.v, "ttlClock" = x."ttlClock", ${STILL_ACTIVE},
          "replicaVersion" = x."replicaVersion", owner = x.owner, "grantedAt" = to_timestamp(x.granted),
          "clientSchema" = coalesce(x."clientSchema", i."clientSchema"), "profileID" = coalesce(x."profileID", i."profileID")
        FROM given x JOIN locked USING (g)
        WHERE i."clientGroupID" = x.g AND i.version = x.expected AND i.deleted IS NOT TRUE
          AND (i.owner = x.owner OR i."grantedAt" IS NULL OR i."grantedAt" <= to_timestamp(x.granted))
        RETURNING i."clientGroupID" AS g),
      accepted AS MATERIALIZED (
        SELECT x.* FROM given x JOIN (SELECT g FROM created UNION ALL SELECT g FROM updated) a USING (g)),
      new_clients AS (
        INSERT INTO ${cvr}.clients ("clientGroupID", "clientID")
        SELECT g, c FROM accepted, json_array_elements_text("newClients") c ON CONFLICT DO NOTHING),
      gone_clients AS (
        DELETE FROM ${cvr}.clients t USING accepted a, json_array_elements_text(a."goneClients") c
        WHERE t."clientGroupID" = a.g AND t."clientID" = c),
      queries AS (
        INSERT INTO ${cvr}.queries ("clientGroupID", "queryHash", "clientAST", "queryName", "queryArgs",
          "patchVersion", "transformationHash", "transformationVersion", internal, deleted)
        SELECT a.g, q.hash, q.ast, q.name, q.args, q."patchVersion", q."transformationHash", q."transformationVersion",
          q.internal, q.deleted
        FROM accepted a, json_to_recordset(a.queries) AS q(hash TEXT, ast JSONB, name TEXT, args JSON, "patchVersion" TEXT,
          "transformationHash" TEXT, "transformationVersion" TEXT, internal BOOL, deleted BOOL)
        ON CONFLICT ("clientGroupID", "queryHash") DO UPDATE SET "clientAST" = EXCLUDED."clientAST",
          "queryName" = EXCLUDED."queryName", "queryArgs" = EXCLUDED."queryArgs",
          "patchVersion" = EXCLUDED."patchVersion", "transformationHash" = EXCLUDED."transformationHash",
          "transformationVersion" = EXCLUDED."transformationVersion", deleted = EXCLUDED.deleted,
          "rowSetSignature" = NULL),
      desires AS (
        INSERT INTO ${cvr}.desires ("clientGroupID", "clientID", "queryHash", "patchVersion", deleted, "ttlMs",
          "inactivatedAtMs", ttl, "inactivatedAt")
        SELECT a.g, d."clientID", d.hash, a.v, d.deleted, d."ttlMs", d."inactivatedAtMs",
          d."ttlMs" * interval '1 millisecond', to_timestamp(d."inactivatedAtMs" / 1000)
        FROM accepted a, json_to_recordset(a.desires) AS d("clientID" TEXT, hash TEXT, deleted BOOL, "ttlMs" FLOAT8,
          "inactivatedAtMs" FLOAT8)
        ON CONFLICT ("clientGroupID", "clientID", "queryHash") DO UPDATE SET "patchVersion" = EXCLUDED."patchVersion",
          deleted = EXCLUDED.deleted, "ttlMs" = EXCLUDED."ttlMs", "inactivatedAtMs" = EXCLUDED."inactivatedAtMs",
          ttl = EXCLUDED.ttl, "inactivatedAt" = EXCLUDED."inactivatedAt"),
      rows_version AS (
        INSERT INTO ${cvr}."rowsVersion" ("clientGroupID", version) SELECT g, v FROM accepted WHERE journal IS NOT TRUE ORDER BY g
        ON CONFLICT ("clientGroupID") DO UPDATE SET version = EXCLUDED.version),
      written AS (
        ${upsertRows}
        SELECT a.g, '', x.t, x.k::jsonb, x.rv, a.v, x.rc::jsonb
        FROM accepted a JOIN row_sets s ON s.s = ANY(a.sets) ${rowsOf('s.k', 's.t', 's.rv', 's.rc')}
        WHERE a.journal IS NOT TRUE
        ${onRowConflict}),
      journaled AS (
        INSERT INTO ${cvr}."zerostreamJournal"
          ("clientGroupID", version, part, tables, keys, "rowVersions", "refCounts", first)
        SELECT a.g, a.v, coalesce(s.s, 0), coalesce(s.t, '{}'), coalesce(s.k, '{}'), coalesce(s.rv, '{}'),
          coalesce(s.rc, '{}'), a.expected = '00'
        FROM accepted a LEFT JOIN row_sets s ON s.s = ANY(a.sets) WHERE a.journal)
      SELECT x.g, a.g IS NOT NULL AS accepted, l.version,
        coalesce(l.owner <> x.owner AND l."grantedAt" > to_timestamp(x.granted), FALSE) AS taken
      FROM given x LEFT JOIN accepted a USING (g) LEFT JOIN locked l USING (g)`,

    /** Keeps others from putting in the records of the same groups. $1: groups. */
    lockJournal: `
      SELECT pg_advisory_xact_lock(hashtextextended(g, 17)) FROM (SELECT unnest($1::text[]) AS g ORDER BY 1) AS x`,

    /**
     * Puts the oldest records of groups into the tables. Returns how many there were, as `n`. $1: groups; $2: whether to
     * rely on it that a group has no rows before its first record, which saves half the time.
     */
    applyJournal: `
      WITH oldest AS (
        SELECT "clientGroupID" AS g, min(version) AS v FROM ${cvr}."zerostreamJournal"
        WHERE "clientGroupID" = ANY($1) GROUP BY 1),
      taken AS (
        DELETE FROM ${cvr}."zerostreamJournal" j USING oldest o WHERE j."clientGroupID" = o.g AND j.version = o.v
        RETURNING o.g, o.v, j.first AND $2 AS first, j.tables, j.keys, j."rowVersions", j."refCounts"),
      rows_version AS (
        INSERT INTO ${cvr}."rowsVersion" ("clientGroupID", version) SELECT DISTINCT g, v FROM taken ORDER BY g
        ON CONFLICT ("clientGroupID") DO UPDATE SET version = EXCLUDED.version),
      inserted AS (${upsertRows} ${takenRows} WHERE y.first),
      upserted AS (${upsertRows} ${takenRows} WHERE NOT y.first ${onRowConflict})
      SELECT count(*)::int AS n FROM taken`,

    /** Makes this server the owner of records, unless a newer connection has them. $1: groups, $2: owner, $3: s. */
    take: `
      UPDATE ${cvr}.instances SET owner = $2, "grantedAt" = to_timestamp($3)
      WHERE "clientGroupID" = $1 AND deleted IS NOT TRUE AND ("grantedAt" IS NULL OR "grantedAt" <= to_timestamp($3))`,

    /**
     * Says that groups are alive, and which rows they had when they were let go. $1: JSON array, $2: owner. Records are
     * locked in order, and before anything else, as everywhere: commits of the same groups go on meanwhile.
     */
    touch: `
      WITH given AS (SELECT * FROM json_to_recordset($1) AS x(g TEXT, "ttlClock" FLOAT8, version TEXT, sets JSON)),
      locked AS MATERIALIZED (
        SELECT "clientGroupID" AS g FROM ${cvr}.instances
        WHERE "clientGroupID" IN (SELECT g FROM given) AND owner = $2 AND deleted IS NOT TRUE
        ORDER BY "clientGroupID" FOR UPDATE),
      row_sets AS (
        INSERT INTO ${cvr}."zerostreamRowSets" ("clientGroupID", version, sets)
        SELECT g, version, sets FROM given JOIN locked USING (g) WHERE sets IS NOT NULL ORDER BY g
        ON CONFLICT ("clientGroupID") DO UPDATE SET version = EXCLUDED.version, sets = EXCLUDED.sets)
      UPDATE ${cvr}.instances i SET "lastActive" = now(), "ttlClock" = x."ttlClock" FROM given x JOIN locked USING (g)
      WHERE i."clientGroupID" = x.g`,

    /** View records without their rows, whole groups from one snapshot. $1: groups. */
    load: `
      SELECT i."clientGroupID", i.version, i."ttlClock", i."replicaVersion", i.owner,
        extract(epoch FROM i."grantedAt")::float8 * 1000 AS "grantedAtMs", i."clientSchema", i."profileID",
        coalesce(i.deleted, FALSE) AS deleted, coalesce(r.version, '00') AS "rowsVersion",
        (SELECT s.sets FROM ${cvr}."zerostreamRowSets" s
          WHERE s."clientGroupID" = i."clientGroupID" AND s.version = i.version) AS "rowSets",
        (SELECT json_agg(c."clientID") FROM ${cvr}.clients c WHERE c."clientGroupID" = i."clientGroupID") AS clients,
        (SELECT json_agg(json_build_object('hash', q."queryHash", 'ast', q."clientAST", 'name', q."queryName",
            'args', q."queryArgs", 'patchVersion', q."patchVersion", 'transformationHash', q."transformationHash",
            'transformationVersion', q."transformationVersion", 'internal', q.internal IS TRUE))
          FROM ${cvr}.queries q WHERE q."clientGroupID" = i."clientGroupID" AND q.deleted IS NOT TRUE) AS queries,
        (SELECT json_agg(json_build_object('clientID', d."clientID", 'hash', d."queryHash",
            'deleted', d.deleted IS TRUE, 'ttlMs', d."ttlMs", 'inactivatedAtMs', d."inactivatedAtMs"))
          FROM ${cvr}.desires d WHERE d."clientGroupID" = i."clientGroupID") AS desires
      FROM ${cvr}.instances i LEFT JOIN ${cvr}."rowsVersion" r USING ("clientGroupID")
      WHERE i."clientGroupID" = ANY($1)`,

    /** $1: group. */
    version: `SELECT version FROM ${cvr}.instances WHERE "clientGroupID" = $1`,

    /** Rows that clients of a group hold. $1: group. */
    rows: `
      SELECT "table", "rowKey"::text, "rowVersion" FROM ${cvr}.rows
      WHERE "clientGroupID" = $1 AND "refCounts" IS NOT NULL`,

    /** What changed in a group after a version; one statement is one snapshot. $1: group, $2: version. */
    catchUp: `
      SELECT i.version,
        (SELECT json_agg(json_build_array(r."table", r."rowKey")) FROM ${cvr}.rows r
          WHERE r."clientGroupID" = $1 AND r."patchVersion" COLLATE "C" > $2) AS rows,
        (SELECT json_agg(json_build_object('hash', q."queryHash", 'deleted', q.deleted IS TRUE)) FROM ${cvr}.queries q
          WHERE q."clientGroupID" = $1 AND q."patchVersion" COLLATE "C" > $2) AS queries,
        (SELECT json_agg(json_build_object('hash', d."queryHash", 'clientID', d."clientID",
            'deleted', d.deleted IS TRUE)) FROM ${cvr}.desires d
          WHERE d."clientGroupID" = $1 AND d."patchVersion" COLLATE "C" > $2) AS desires
      FROM ${cvr}.instances i WHERE i."clientGroupID" = $1`,
  };
};

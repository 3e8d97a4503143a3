/** Tables of view records as the original creates them (views.md §2.1): default collation, foreign keys, its indexes. */
export const originalCvr = (appID: string): string => {
  const cvr = `"${appID}_0/cvr"`;
  return `
    DROP SCHEMA IF EXISTS ${cvr} CASCADE;
    CREATE SCHEMA ${cvr};
    CREATE TABLE ${cvr}."versionHistory" ("dataVersion" int NOT NULL, "schemaVersion" int NOT NULL, "minSafeVersion" int NOT NULL,
      lock char(1) PRIMARY KEY DEFAULT 'v');
    INSERT INTO ${cvr}."versionHistory" VALUES (17, 17, 1);
    CREATE TABLE ${cvr}.instances ("clientGroupID" TEXT PRIMARY KEY, version TEXT NOT NULL, "lastActive" TIMESTAMPTZ NOT NULL,
      "ttlClock" DOUBLE PRECISION NOT NULL DEFAULT 0, "replicaVersion" TEXT, owner TEXT, "grantedAt" TIMESTAMPTZ,
      "clientSchema" JSONB, "profileID" TEXT, deleted BOOL DEFAULT FALSE);
    CREATE TABLE ${cvr}.clients ("clientGroupID" TEXT, "clientID" TEXT, PRIMARY KEY ("clientGroupID", "clientID"),
      FOREIGN KEY ("clientGroupID") REFERENCES ${cvr}.instances ON DELETE CASCADE);
    CREATE TABLE ${cvr}.queries ("clientGroupID" TEXT, "queryHash" TEXT, "clientAST" JSONB, "queryName" TEXT, "queryArgs" JSON,
      "patchVersion" TEXT, "transformationHash" TEXT, "transformationVersion" TEXT, internal BOOL, deleted BOOL,
      "rowSetSignature" TEXT, PRIMARY KEY ("clientGroupID", "queryHash"),
      FOREIGN KEY ("clientGroupID") REFERENCES ${cvr}.instances ON DELETE CASCADE);
    CREATE INDEX queries_patch_version ON ${cvr}.queries ("patchVersion" NULLS FIRST);
    CREATE TABLE ${cvr}.desires ("clientGroupID" TEXT, "clientID" TEXT, "queryHash" TEXT, "patchVersion" TEXT NOT NULL,
      deleted BOOL, ttl INTERVAL, "ttlMs" DOUBLE PRECISION, "inactivatedAt" TIMESTAMPTZ, "inactivatedAtMs" DOUBLE PRECISION,
      PRIMARY KEY ("clientGroupID", "clientID", "queryHash"),
      FOREIGN KEY ("clientGroupID", "queryHash") REFERENCES ${cvr}.queries ON DELETE CASCADE);
    CREATE INDEX desires_patch_version ON ${cvr}.desires ("patchVersion");
    CREATE TABLE ${cvr}."rowsVersion" ("clientGroupID" TEXT PRIMARY KEY, version TEXT NOT NULL);
    CREATE TABLE ${cvr}.rows ("clientGroupID" TEXT, schema TEXT, "table" TEXT, "rowKey" JSONB, "rowVersion" TEXT NOT NULL,
      "patchVersion" TEXT NOT NULL, "refCounts" JSONB, PRIMARY KEY ("clientGroupID", schema, "table", "rowKey"),
      FOREIGN KEY ("clientGroupID") REFERENCES ${cvr}."rowsVersion" ON DELETE CASCADE);
    CREATE INDEX row_patch_version ON ${cvr}.rows ("patchVersion");
    CREATE INDEX row_ref_counts ON ${cvr}.rows USING GIN ("refCounts");`;
};

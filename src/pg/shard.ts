import type pg from 'pg';
import {PublicationUnfit, UpstreamUnfit} from '../errors.ts';
import {ensureDdlTriggers} from './ddl-triggers.ts';
import {explainRefusal} from './explain-refusal.ts';
import {ident, literal} from './identifier.ts';
import {mendIdentities} from './mend-identity.ts';
import {readPublishedSchema} from './read-published-schema.ts';

export interface ShardOptions {
  readonly appID: string;
  readonly shardNum: number;
  /** As configured; empty: the default publication of every table in `public`. */
  readonly publications: readonly string[];
}

export interface Shard {
  /** Sorted, the internal ones included: what the slot subscribes to. */
  readonly publications: readonly string[];
  /** True if event triggers announce schema changes; otherwise they are found by comparing catalogs. */
  readonly ddlDetection: boolean;
}

const SHARD_SCHEMA_VERSION = 25;

/**
 * Creates whatever of the app's and shard's upstream objects is missing (replication.md §1.3), in one transaction under
 * an advisory lock, and gives published tables an identity by which rows can be updated. Idempotent. @throws UpstreamUnfit, PublicationUnfit.
 */
export const ensureShard = async (client: pg.Client, options: ShardOptions): Promise<Shard> => {
  const {appID, shardNum} = options;
  if (!/^[a-z0-9_]+$/.test(appID))
    throw new UpstreamUnfit(
      'The App ID may only consist of lower-case letters, numbers, and the underscore character',
    );
  const shard = `${appID}_${shardNum}`;
  await checkPublications(client, options.publications);
  const metadata = `_${appID}_metadata_${shardNum}`;
  const standard = `_${appID}_public_${shardNum}`;
  const publications = [
    ...(options.publications.length ? options.publications : [standard]),
    metadata,
  ].sort();
  await client.query('BEGIN');
  try {
    await client.query(`SELECT pg_advisory_xact_lock(hashtext(${literal(`migrate-schema:${shard}`)}))`);
    await client.query(appObjects(appID) + shardObjects(shard));
    await ensurePublication(
      client,
      metadata,
      `TABLE ${ident(appID)}."permissions", ${ident(shard)}."clients", ${ident(shard)}."mutations"`,
    );
    if (options.publications.length === 0)
      await ensurePublication(
        client,
        standard,
        'TABLES IN SCHEMA public WITH (publish_via_partition_root = true)',
      );
    const ddlDetection = await ensureDdlTriggers(client, {appID, shardNum, publications});
    await client.query(
      `INSERT INTO ${ident(shard)}."shardConfig" ("publications", "ddlDetection") VALUES ($1, $2)
       ON CONFLICT ("lock") DO UPDATE SET "publications" = EXCLUDED."publications", "ddlDetection" = EXCLUDED."ddlDetection"`,
      [publications, ddlDetection],
    );
    await client.query('COMMIT');
    await mendIdentities(client, await readPublishedSchema(client, publications, {filterTexts: false}));
    return {publications, ddlDetection};
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw await explainRefusal(error, 'create the schemas and publications of the server', client, {
      replicates: true,
      publishes: options.publications.length === 0 ? standard : undefined,
    });
  }
};

const checkPublications = async (client: pg.Client, wanted: readonly string[]) => {
  for (const name of wanted)
    if (!/^[a-zA-Z][a-zA-Z0-9_]{0,62}$/.test(name))
      throw new PublicationUnfit(
        `"${name}" is no usable publication name: letters, digits and underscores, not starting with an underscore.`,
      );
  const {rows} = await client.query<{pubname: string; all: boolean}>(
    `SELECT pubname, pubinsert AND pubupdate AND pubdelete AND pubtruncate AS "all" FROM pg_publication WHERE pubname = ANY($1)`,
    [wanted],
  );
  for (const name of wanted) {
    const row = rows.find(r => r.pubname === name);
    if (!row)
      throw new PublicationUnfit(
        `Publication "${name}" does not exist upstream. Create it: CREATE PUBLICATION ${name} FOR …`,
      );
    if (!row.all)
      throw new PublicationUnfit(
        `Publication "${name}" must publish insert, update, delete and truncate. Run: ALTER PUBLICATION ${ident(name)} SET (publish = 'insert, update, delete, truncate');`,
      );
  }
};

/** Created once and left alone: dropping a publication that a slot is decoding with breaks the slot. */
const ensurePublication = async (client: pg.Client, name: string, what: string) => {
  const {rowCount} = await client.query('SELECT 1 FROM pg_publication WHERE pubname = $1', [name]);
  if (!rowCount) await client.query(`CREATE PUBLICATION ${ident(name)} FOR ${what}`);
};

const appObjects = (appID: string): string => {
  const app = ident(appID);
  return `
    CREATE SCHEMA IF NOT EXISTS ${app};
    CREATE TABLE IF NOT EXISTS ${app}."permissions" (
      "permissions" JSONB, "hash" TEXT, "lock" BOOL PRIMARY KEY DEFAULT true CHECK ("lock"));
    CREATE OR REPLACE FUNCTION ${app}.set_permissions_hash() RETURNS TRIGGER LANGUAGE plpgsql AS $body$
      BEGIN NEW.hash = md5(NEW.permissions::text); RETURN NEW; END; $body$;
    CREATE OR REPLACE TRIGGER on_set_permissions BEFORE INSERT OR UPDATE ON ${app}."permissions"
      FOR EACH ROW EXECUTE FUNCTION ${app}.set_permissions_hash();
    INSERT INTO ${app}."permissions" ("permissions") VALUES (NULL) ON CONFLICT DO NOTHING;`;
};

const shardObjects = (name: string): string => {
  const shard = ident(name);
  return `
    CREATE SCHEMA IF NOT EXISTS ${shard};
    CREATE TABLE IF NOT EXISTS ${shard}."clients" (
      "clientGroupID" TEXT, "clientID" TEXT, "lastMutationID" BIGINT NOT NULL, "userID" TEXT,
      PRIMARY KEY ("clientGroupID", "clientID"));
    CREATE TABLE IF NOT EXISTS ${shard}."mutations" (
      "clientGroupID" TEXT, "clientID" TEXT, "mutationID" BIGINT, "result" JSON NOT NULL,
      PRIMARY KEY ("clientGroupID", "clientID", "mutationID"));
    CREATE TABLE IF NOT EXISTS ${shard}."shardConfig" (
      "publications" TEXT[] NOT NULL, "ddlDetection" BOOL NOT NULL, "lock" BOOL PRIMARY KEY DEFAULT true CHECK ("lock"));
    CREATE TABLE IF NOT EXISTS ${shard}."replicas" (
      "id" TEXT PRIMARY KEY DEFAULT gen_random_uuid()::text, "rank" BIGSERIAL, "slot" TEXT, "version" TEXT,
      "generation" TEXT, "backupPath" TEXT, "backupV5" BOOL DEFAULT false,
      "initialSchema" JSON, "initialSyncContext" JSON, "subscriberContext" JSON);
    CREATE TABLE IF NOT EXISTS ${shard}."versionHistory" (
      "dataVersion" INT NOT NULL, "schemaVersion" INT NOT NULL, "minSafeVersion" INT NOT NULL,
      "lock" CHAR(1) PRIMARY KEY DEFAULT 'v' CHECK ("lock" = 'v'));
    INSERT INTO ${shard}."versionHistory" ("dataVersion", "schemaVersion", "minSafeVersion")
      VALUES (${SHARD_SCHEMA_VERSION}, ${SHARD_SCHEMA_VERSION}, 1) ON CONFLICT DO NOTHING;`;
};

import type pg from 'pg';
import {ident, literal} from './identifier.ts';
import {publishedSchemaSql} from './published-schema-sql.ts';

/** Prefix of the messages by which event triggers announce schema changes in the stream (replication.md §3.8). */
export const ddlPrefix = (shard: string): string => `${shard.replace(/_(\d+)$/, '/$1')}/ddl`;

/** Commands after which a published schema may be another one. */
const TAGS = [
  ...['CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'DROP TABLE', 'DROP OWNED'],
  ...['CREATE INDEX', 'ALTER INDEX', 'DROP INDEX', 'CREATE SCHEMA', 'ALTER SCHEMA', 'DROP SCHEMA'],
  ...['ALTER PUBLICATION', 'ALTER TYPE', 'DROP TYPE', 'ALTER DOMAIN', 'DROP DOMAIN', 'COMMENT'],
];

/**
 * Functions that announce the published schema at their place in the WAL, and the event trigger that calls them after each
 * command of `TAGS` (replication.md §4.1). A message carries the whole schema with the snapshot it was read in, so that no
 * lock is needed: the reader sees whether transactions overlapped and then looks into the catalog. A failure never fails
 * the command. Run in a transaction. @returns false where the role may not create event triggers: then the functions are
 * still there for `update_schemas()` by hand, and the catalog is looked at.
 */
export const ensureDdlTriggers = async (
  client: pg.Client,
  options: {readonly appID: string; readonly shardNum: number; readonly publications: readonly string[]},
): Promise<boolean> => {
  const shard = `${options.appID}_${options.shardNum}`;
  await client.query(functions(shard, options.publications));
  const trigger = `${options.appID}_ddl_end_${options.shardNum}`;
  const {rowCount} = await client.query(
    `SELECT 1 FROM pg_event_trigger WHERE evtname = $1 AND evtenabled <> 'D'`,
    [trigger],
  );
  if (rowCount) return true;
  await client.query('SAVEPOINT event_trigger');
  try {
    await client.query(
      `DROP EVENT TRIGGER IF EXISTS ${ident(trigger)};
       CREATE EVENT TRIGGER ${ident(trigger)} ON ddl_command_end WHEN TAG IN (${TAGS.map(literal).join()})
       EXECUTE FUNCTION ${ident(shard)}.emit_ddl_end()`,
    );
    return true;
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT event_trigger');
    // Not allowed (42501), or not offered by this server (0A000).
    if (['42501', '0A000'].includes((error as {code?: string}).code ?? '')) return false;
    throw error;
  }
};

const functions = (name: string, publications: readonly string[]): string => {
  const shard = ident(name);
  // The session's own styles must not get into texts of values.
  const settings = `SET search_path = pg_catalog SET DateStyle = 'ISO, MDY' SET IntervalStyle = postgres
    SET TimeZone = 'UTC' SET bytea_output = hex SET extra_float_digits = 1`;
  const list = `ARRAY[${publications.map(literal).join()}]::text[]`;
  return `
    CREATE OR REPLACE FUNCTION ${shard}.schema_specs() RETURNS json LANGUAGE sql STABLE SECURITY DEFINER ${settings} AS $body$
      ${publishedSchemaSql(list, false)}
    $body$;
    CREATE OR REPLACE FUNCTION ${shard}.announce_schema(event_type text, tag text, created int8[]) RETURNS void
      LANGUAGE plpgsql SECURITY DEFINER ${settings} AS $body$
    DECLARE
      announcement text;
    BEGIN
      BEGIN
        announcement := pg_catalog.json_build_object(
          'type', event_type, 'version', 1, 'event', pg_catalog.json_build_object('tag', tag),
          'snapshot', pg_catalog.pg_current_snapshot()::text, 'created', pg_catalog.to_json(created),
          'schema', ${shard}.schema_specs())::text;
      EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'the schema change is not announced to zerostream (%), which finds it by itself a little later', SQLSTATE;
        RETURN;
      END;
      -- PostgreSQL places a message at the end of its record, which is where the next one begins, and for equal places
      -- it knows no order between a transaction and its subtransaction, such as the block above or a savepoint of the
      -- user's. With something in between, rows written next do not come before the message.
      PERFORM pg_catalog.pg_logical_emit_message(true, ${literal(ddlPrefix(name))}, announcement);
      PERFORM pg_catalog.pg_logical_emit_message(true, 'zerostream/space', '');
    END $body$;
    CREATE OR REPLACE FUNCTION ${shard}.update_schemas() RETURNS void LANGUAGE sql SECURITY DEFINER ${settings} AS $body$
      SELECT ${shard}.announce_schema('schemaSnapshot', 'MANUAL', '{}')
    $body$;
    CREATE OR REPLACE FUNCTION ${shard}.emit_ddl_end() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER ${settings} AS $body$
    DECLARE
      changed int; visible int; created int8[];
    BEGIN
      SELECT count(*), count(*) FILTER (WHERE COALESCE(schema_name, '') NOT IN ('pg_temp', ${literal(`${name}/cdc`)}, ${literal(`${name}/cvr`)})
          AND command_tag <> 'CREATE SCHEMA' AND (tg_tag <> 'COMMENT' OR object_type = 'publication')),
        COALESCE(array_agg(objid::int8) FILTER (WHERE command_tag = 'CREATE TABLE' AND object_type = 'table'), '{}')
        INTO changed, visible, created FROM pg_catalog.pg_event_trigger_ddl_commands();
      -- DROP reports no command, nor does ALTER PUBLICATION … DROP. Of others none means that nothing was done (IF NOT EXISTS).
      IF visible = 0 AND (changed > 0 OR tg_tag NOT LIKE 'DROP%' AND tg_tag <> 'ALTER PUBLICATION') THEN RETURN; END IF;
      PERFORM ${shard}.announce_schema('ddlUpdate', tg_tag, created);
    END $body$;`;
};

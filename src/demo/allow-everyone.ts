import type pg from 'pg';
import {ident, literal} from '../pg/identifier.ts';

const ALWAYS = [['allow', {type: 'and', conditions: []}]];
const ASSET = {
  select: ALWAYS,
  insert: ALWAYS,
  update: {preMutation: ALWAYS, postMutation: ALWAYS},
  delete: ALWAYS,
};

/**
 * Deploys "anyone may do anything" for every table of `public`, in the form of the stock `zero-deploy-permissions`
 * (mutations-auth.md §4.1), now and after each change of the schema. Permissions that somebody else deployed are left
 * alone. Needs a superuser, for the event trigger; the app's upstream objects must be there.
 * @returns false if permissions of somebody else are in force.
 */
export const allowEveryone = async (client: pg.Client, appID: string): Promise<boolean> => {
  await client.query(objects(`${ident(appID)}."permissions"`));
  const {rows} = await client.query<{ours: boolean}>('SELECT zerostream_dev.allow_everyone() AS ours');
  return rows[0]!.ours;
};

const objects = (permissions: string): string => `
  CREATE SCHEMA IF NOT EXISTS zerostream_dev;
  CREATE TABLE IF NOT EXISTS zerostream_dev.deployed (
    permissions jsonb NOT NULL, lock bool PRIMARY KEY DEFAULT true CHECK (lock));

  CREATE OR REPLACE FUNCTION zerostream_dev.allow_everyone() RETURNS bool
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  DECLARE
    wanted jsonb;
    present jsonb;
  BEGIN
    SELECT jsonb_build_object('tables', coalesce(
             jsonb_object_agg(tablename, jsonb_build_object('row', ${literal(JSON.stringify(ASSET))}::jsonb)), '{}'))
      INTO wanted FROM pg_tables WHERE schemaname = 'public';
    SELECT permissions INTO present FROM ${permissions};
    IF present IS NOT NULL AND present IS DISTINCT FROM (SELECT permissions FROM zerostream_dev.deployed) THEN
      RETURN false;
    END IF;
    IF present IS DISTINCT FROM wanted THEN
      UPDATE ${permissions} SET permissions = wanted;
      INSERT INTO zerostream_dev.deployed (permissions) VALUES (wanted)
        ON CONFLICT (lock) DO UPDATE SET permissions = excluded.permissions;
    END IF;
    RETURN true;
  END $body$;

  CREATE OR REPLACE FUNCTION zerostream_dev.on_schema_change() RETURNS event_trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  BEGIN
    PERFORM zerostream_dev.allow_everyone();
  EXCEPTION WHEN others THEN
    -- Nobody's schema change fails for this.
    RAISE WARNING 'zerostream: permissions for the new schema were not deployed: %', SQLERRM;
  END $body$;

  DROP EVENT TRIGGER IF EXISTS zerostream_dev_schema;
  CREATE EVENT TRIGGER zerostream_dev_schema ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE')
    EXECUTE FUNCTION zerostream_dev.on_schema_change();
`;

import {ANYONE_CAN_DO_ANYTHING, definePermissions} from '@rocicorp/zero';
import type {TestDatabase} from '../helpers/postgres.ts';
import {schema} from './schema.ts';

/** Deploys "anyone may do anything", compiled by the stock library, as `zero-deploy-permissions` does. */
export const deployAnyone = async (db: TestDatabase, appID: string) => {
  const anyone = Object.fromEntries(Object.keys(schema.tables).map(name => [name, ANYONE_CAN_DO_ANYTHING]));
  const compiled = await definePermissions(schema, () => anyone as never);
  await db.query(`UPDATE "${appID}".permissions SET permissions = $1`, [JSON.stringify(compiled)]);
};

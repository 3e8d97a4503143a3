import {ANYONE_CAN_DO_ANYTHING, definePermissions} from '@rocicorp/zero';
import type {TestDatabase} from '../helpers/postgres.ts';
import {schema} from './schema.ts';

/** The compiled rule of who may do something: anyone. */
export const ANYONE = [['allow', {type: 'and', conditions: []}]];
/** The compiled rules of one table with which anyone may do anything. */
export const anyone = {
  select: ANYONE,
  insert: ANYONE,
  update: {preMutation: ANYONE, postMutation: ANYONE},
  delete: ANYONE,
};

/** Deploys "anyone may do anything", compiled by the stock library, as `zero-deploy-permissions` does. */
export const deployAnyone = async (db: TestDatabase, appID: string) => {
  const rules = Object.fromEntries(Object.keys(schema.tables).map(name => [name, ANYONE_CAN_DO_ANYTHING]));
  const compiled = await definePermissions(schema, () => rules as never);
  await db.query(`UPDATE "${appID}".permissions SET permissions = $1`, [JSON.stringify(compiled)]);
};

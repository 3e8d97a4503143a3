import {shardName, type ZeroConfig} from '../config/config.ts';
import {ensureShard} from '../pg/shard.ts';
import {allowEveryone} from './allow-everyone.ts';
import {ensureDatabase, type Filled, superuserUrl, withClient} from './database.ts';
import {describeTables} from './describe-tables.ts';
import {checkOrigin, describeFilled, fillingOf} from './fill.ts';
import type {PageTable} from './page-facts.ts';
import type {PreparedPostgres} from './prepare-postgres.ts';
import type {Say} from './say.ts';
import type {SqlFile} from './sql-file.ts';

export interface PreparedDatabase {
  readonly filled: Filled;
  /** What clients can have, as it is now. */
  readonly tables: () => Promise<readonly PageTable[]>;
}

/**
 * A filled database with the app's upstream objects and permissions in it. The daemon would make the objects as well;
 * with them made before, its first copy of the database has the permissions in it. @throws DevelopmentImpossible
 */
export const prepareDatabase = async (
  {server, password}: PreparedPostgres,
  file: SqlFile | null,
  config: ZeroConfig,
  say: Say,
): Promise<PreparedDatabase> => {
  const access = {port: server.port, password};
  const url = superuserUrl(server.port, password);
  const {origin, fill} = fillingOf(file);
  const filled = await say.step(
    'filling the database',
    () => ensureDatabase(access, origin, fill),
    describeFilled,
  );
  const remark = checkOrigin(file, filled);
  if (remark) say.line(`! ${remark}`);
  const {publications} = await say.step(
    'deploying permissions',
    () =>
      withClient(url, async client => {
        const shard = await ensureShard(client, {
          appID: config.app.id,
          shardNum: config.shard.num,
          publications: config.app.publications,
        });
        return {publications: shard.publications, ours: await allowEveryone(client, config.app.id)};
      }),
    result =>
      result.ours
        ? 'permissions: anyone may read and write everything, which is for trying out only'
        : `permissions: those that were deployed to ${config.app.id}.permissions`,
  );
  const internal = `_${config.app.id}_metadata_${config.shard.num}`;
  const tables = () =>
    withClient(url, client =>
      describeTables(
        client,
        publications.filter(name => name !== internal),
      ),
    );
  const found = await tables();
  if (found.length === 0)
    say.line(
      `! There is no table in the schema public, so nothing is served by ${shardName(config)}. Make some with psql; they are served at once.`,
    );
  return {filled, tables};
};

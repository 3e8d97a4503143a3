import {changeLogSchema} from '../change-log/schema.ts';
import {shardName, type ZeroConfig} from '../config/config.ts';
import {ChangeStreamUnavailable} from '../errors.ts';
import {connect} from '../pg/connect.ts';

/**
 * Where the replication-manager is: as configured, or as it has written into the change database, which is asked each time.
 * @throws ChangeStreamUnavailable if it has not.
 */
export const replicationManagerUri = async (
  config: Pick<ZeroConfig, 'app' | 'shard' | 'change' | 'changeStreamer'>,
): Promise<string> => {
  const {uri, protocol} = config.changeStreamer;
  if (uri !== undefined) return uri;
  const address = await ownerAddress(config).catch(error => {
    throw new ChangeStreamUnavailable(
      `The change database, which tells where the replication-manager is, cannot be asked (${(error as Error).message}).`,
      {cause: error},
    );
  });
  if (!address)
    throw new ChangeStreamUnavailable(
      'No replication-manager has written its address into the change database yet.',
    );
  return address.includes('://') ? address : `${protocol}://${address}`;
};

const ownerAddress = async (config: Pick<ZeroConfig, 'app' | 'shard' | 'change'>): Promise<string | null> => {
  const cdc = changeLogSchema(shardName(config));
  const client = await connect(config.change.db, {purpose: 'discover'});
  try {
    const {rows} = await client.query<{address: string | null}>(
      `SELECT "ownerAddress" AS address FROM ${cdc}."replicationState"`,
    );
    return rows[0]?.address ?? null;
  } catch (error) {
    // No table: nothing was ever replicated.
    if ((error as {code?: string}).code === '42P01' || (error as {code?: string}).code === '3F000')
      return null;
    throw error;
  } finally {
    await client.end();
  }
};

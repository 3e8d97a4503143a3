import type {ZeroConfig} from './config.ts';

/**
 * What a node does (config-ops.md §5): everything by itself · replicating for others · serving clients from the changes
 * that another node replicates.
 */
export type Role = 'single-node' | 'replication-manager' | 'view-syncer';

/** Follows from the configuration alone; an address given wins over `discover`. */
export const roleOf = ({
  changeStreamer,
  numSyncWorkers,
}: Pick<ZeroConfig, 'numSyncWorkers'> & {
  readonly changeStreamer: Pick<ZeroConfig['changeStreamer'], 'uri' | 'mode'>;
}): Role => {
  if (changeStreamer.uri !== undefined || changeStreamer.mode === 'discover') return 'view-syncer';
  return numSyncWorkers === 0 ? 'replication-manager' : 'single-node';
};

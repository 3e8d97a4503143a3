import type pg from 'pg';
import {changeLogSchema} from '../change-log/schema.ts';
import type {Subscriber} from './subscriber.ts';

/** Nodes that were not heard of for so long are not asked. */
const KNOWN_FOR = `interval '7 days'`;

/**
 * Notes in the change database where a node hands out its replica, for a replication-manager that has lost its own. The
 * address is the one that it came from.
 */
export const rememberNode = async (
  db: pg.Pool | pg.Client,
  shard: string,
  address: string,
): Promise<void> => {
  const nodes = `${changeLogSchema(shard)}."zerostreamNodes"`;
  await db.query(
    `INSERT INTO ${nodes} VALUES ($1, now()) ON CONFLICT (address) DO UPDATE SET "seenAt" = EXCLUDED."seenAt"`,
    [address],
  );
  await db.query(`DELETE FROM ${nodes} WHERE "seenAt" < now() - ${KNOWN_FOR}`);
};

/** Addresses, `host:port`, the latest first. */
export const knownNodes = async (db: pg.Pool | pg.Client, shard: string): Promise<string[]> => {
  const {rows} = await db.query<{address: string}>(
    `SELECT address FROM ${changeLogSchema(shard)}."zerostreamNodes"
     WHERE "seenAt" > now() - ${KNOWN_FOR} ORDER BY "seenAt" DESC LIMIT 20`,
  );
  return rows.map(({address}) => address);
};

/** Where a subscriber hands out its replica; null if it does not. */
export const snapshotAddress = (subscriber: Subscriber): string | null => {
  const {snapshotPort} = subscriber.subscription;
  if (!snapshotPort) return null;
  const host = subscriber.inspect().address.replace(/^::ffff:/, '');
  return `${host.includes(':') ? `[${host}]` : host}:${snapshotPort}`;
};

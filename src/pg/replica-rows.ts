import type pg from 'pg';
import {ident} from './identifier.ts';
import type {Version} from './lsn.ts';
import {dropSlot, shardSlotPattern} from './slot.ts';

/** Rows of `{shard}.replicas`: which replica claims which slot (replication.md §1.3, §1.5). */
const table = (shard: string): string => `${ident(shard)}."replicas"`;

/** Claims a slot for a replica that is being built. @returns the row's id. */
export const claimSlot = async (
  client: pg.Client,
  shard: string,
  slot: string,
  replicaVersion: Version,
): Promise<string> => {
  const id = String(Date.now());
  await client.query(`INSERT INTO ${table(shard)} ("id", "slot", "version") VALUES ($1, $2, $3)`, [
    id,
    slot,
    replicaVersion,
  ]);
  return id;
};

/** From now on the replica counts as complete. */
export const markUsable = async (
  client: pg.Client,
  shard: string,
  id: string,
  facts: {readonly schema: unknown; readonly context: unknown},
): Promise<void> => {
  await client.query(
    `UPDATE ${table(shard)} SET "initialSchema" = $1, "initialSyncContext" = $2 WHERE "id" = $3`,
    [JSON.stringify(facts.schema), JSON.stringify(facts.context), id],
  );
};

/**
 * Slots of replicas that this one replaces would hold WAL for ever; one still in use is left to its owner. Where an older
 * slot was dropped by somebody, this replica's own has its name, and only the row goes.
 */
export const dropOlderReplicas = async (client: pg.Client, shard: string, id: string): Promise<void> => {
  const {rows} = await client.query<{id: string; slot: string | null}>(
    `SELECT r."id", nullif(r."slot", own."slot") AS slot
     FROM ${table(shard)} own JOIN ${table(shard)} r ON r."rank" < own."rank" WHERE own."id" = $1
       AND NOT EXISTS (
         SELECT 1 FROM pg_replication_slots s WHERE s.slot_name = nullif(r."slot", own."slot") AND s.active)`,
    [id],
  );
  for (const row of rows)
    await unlessFilling(client, row.slot, () => dropReplica(client, shard, row.id, row.slot));
};

export const dropReplica = async (
  client: pg.Client,
  shard: string,
  id: string | null,
  slot: string | null,
): Promise<void> => {
  if (slot) await dropSlot(client, slot);
  if (id) await client.query(`DELETE FROM ${table(shard)} WHERE "id" = $1`, [id]);
};

/** Held by the session that runs an initial sync into this slot, for as long as it lives. */
const syncLock = 'hashtext($1)';
const lockName = (slot: string): string => `initial-sync:${slot}`;

export const lockSync = async (client: pg.Client, slot: string): Promise<void> => {
  await client.query(`SELECT pg_advisory_lock(${syncLock})`, [lockName(slot)]);
};

/** Does the work unless a living session is filling the slot. @returns false if one is. */
const unlessFilling = async (
  client: pg.Client,
  slot: string | null,
  work: () => Promise<void>,
): Promise<boolean> => {
  const name = [lockName(slot ?? '')];
  const {rows} = await client.query<{free: boolean}>(
    `SELECT pg_try_advisory_lock(${syncLock}) AS free`,
    name,
  );
  if (!rows[0]?.free) return false;
  try {
    await work();
  } finally {
    await client.query(`SELECT pg_advisory_unlock(${syncLock})`, name);
  }
  return true;
};

/**
 * Drops the slots that failed syncs left behind: inactive, of this shard, without a complete replica, and no living
 * session is filling one. @returns their names.
 */
export const dropStraySlots = async (client: pg.Client, shard: string): Promise<string[]> => {
  const {rows} = await client.query<{slot: string; id: string | null}>(
    `SELECT s.slot_name AS slot, r."id" FROM pg_replication_slots s LEFT JOIN ${table(shard)} r ON r."slot" = s.slot_name
     WHERE s.slot_name ~ $1 AND NOT s.active AND s.database = current_database() AND r."initialSyncContext" IS NULL`,
    [shardSlotPattern(shard)],
  );
  const dropped: string[] = [];
  for (const {slot, id} of rows) {
    if (await unlessFilling(client, slot, () => dropReplica(client, shard, id, slot))) dropped.push(slot);
  }
  return dropped;
};

/** Makes room when the server is out of slots: replicas of this shard that nobody streams for are to be replaced anyway. */
export const dropIdleReplicas = async (client: pg.Client, shard: string): Promise<number> => {
  const {rows} = await client.query<{id: string; slot: string}>(
    `SELECT r."id", r."slot" FROM ${table(shard)} r JOIN pg_replication_slots s ON s.slot_name = r."slot"
     WHERE NOT s.active AND r."initialSyncContext" IS NOT NULL`,
  );
  for (const row of rows) await dropReplica(client, shard, row.id, row.slot);
  return rows.length;
};

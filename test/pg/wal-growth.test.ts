import {expect, test} from 'vitest';
import {slotHealth} from '../../src/pg/slot.ts';
import {WalGrowth} from '../../src/pg/wal-growth.ts';
import {T} from '../helpers/arrives.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {replicating} from '../helpers/replicating.ts';
import {until} from '../helpers/until.ts';

test('WAL that an old transaction holds back is noticed, and when it is let go of', async () => {
  await using db = await createDatabase(T);
  await using replica = await replicating(db);
  const {slot_name} = (
    await db.query('SELECT slot_name FROM pg_replication_slots WHERE database = current_database()')
  ).rows[0];
  const growth = new WalGrowth();
  let nowMs = 0;
  const note = async (laterMs: number) =>
    growth.note(await slotHealth(db.pool, slot_name), slot_name, (nowMs += laterMs));
  const old = await db.pool.connect();
  try {
    await old.query(`BEGIN; INSERT INTO t (v) VALUES ('open for long')`);
    // The server looks for a new position whenever it notes which transactions run, finds the one from before this
    // transaction, and takes it when we have confirmed more.
    await db.query('CHECKPOINT');
    const {lsn} = (await db.query('SELECT pg_current_wal_lsn() AS lsn')).rows[0];
    await replica.caughtUp();
    await until(async () => {
      const {rows} = await db.query(
        'SELECT confirmed_flush_lsn >= $1::pg_lsn AS ok FROM pg_replication_slots WHERE slot_name = $2',
        [lsn, slot_name],
      );
      return rows[0].ok;
    }, 'the server knows what we have');
    expect(await note(0)).toBeNull();
    // More than the limit by a segment and more: of the last of it the server knows only when it is written.
    for (let n = 0; n < 7; n++)
      await db.query(
        `SELECT count(pg_logical_emit_message(false, 'filler', repeat('x', 1000000))) FROM generate_series(1, 14)`,
      );
    expect(await note(10_000)).toBeNull();
    expect(await note(25_000)).toMatch(/keeps \d+ MiB of WAL for slot \S+, and more/);
    await old.query('COMMIT');
  } finally {
    old.release(true);
  }
  await until(async () => {
    await db.query('SELECT pg_log_standby_snapshot()');
    await replica.caughtUp();
    return (await note(1)) === null;
  }, 'the position moves');
  // Whatever else has a transaction open on the shared server holds the position back as well, and a new slot.
}, 180_000);

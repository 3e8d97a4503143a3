import type pg from 'pg';
import {WatermarkTooOld} from '../errors.ts';
import type {Version} from '../pg/lsn.ts';
import type {LogEntry} from './entries.ts';
import {changeLogSchema} from './schema.ts';

const ROWS_AT_ONCE = 2000;
/** A page of larger entries is shorter. */
const PAGE_BYTES = 4 * 1024 * 1024;

interface Row extends LogEntry {
  readonly oldest: string | null;
  readonly newest: string | null;
}

/**
 * Everything in the change log after `from`, in order: whole transactions up to the newest at the time of the first read.
 * Pulled page by page, each in a statement of its own: a slow consumer holds neither a connection nor a snapshot, and one
 * page is in memory. What is committed in the log does not change, so pages fit together; that nothing between them was
 * purged is looked at with each.
 * @throws WatermarkTooOld if the log does not reach back to `from` (any more) (replication.md §6.4).
 */
export async function* readChangeLog(
  pool: pg.Pool,
  shard: string,
  from: Version,
  rowsAtOnce = ROWS_AT_ONCE,
): AsyncGenerator<readonly LogEntry[]> {
  const text = pageSql(shard);
  let at: {readonly watermark: Version; readonly pos: number} = {
    watermark: from,
    pos: Number.MAX_SAFE_INTEGER,
  };
  let upTo: Version | null = null;
  for (;;) {
    const {rows}: pg.QueryResult<Row> = await pool.query<Row>(text, [
      at.watermark,
      at.pos,
      upTo,
      rowsAtOnce,
      PAGE_BYTES,
    ]);
    const {oldest, newest}: Row = rows[0]!;
    if (oldest === null || oldest > at.watermark)
      throw new WatermarkTooOld(
        `Changes after ${at.watermark} are asked for, but the change log begins at ${oldest ?? 'nothing'}.`,
      );
    upTo ??= newest;
    const entries = rows.filter(row => row.watermark !== null);
    const last = entries.at(-1);
    if (!last) return;
    at = last;
    yield entries.map(({watermark, pos, change, precommit}) => ({watermark, pos, change, precommit}));
    if (last.watermark === upTo && last.precommit !== null) return;
  }
}

/** One row of facts even if there is no entry. The running sum is of what comes before, so that there is always one. */
const pageSql = (shard: string): string => {
  const log = `${changeLogSchema(shard)}."changeLog"`;
  return `
    SELECT f.oldest, f.newest, e.watermark, e.pos, e.change, e.precommit
    FROM (SELECT (SELECT min(watermark) FROM ${log}) AS oldest, (SELECT max(watermark) FROM ${log}) AS newest) f
    LEFT JOIN LATERAL (
      SELECT *, sum(octet_length(change)) OVER (ORDER BY watermark, pos) - octet_length(change) AS before
      FROM (SELECT watermark, pos::float8 AS pos, change::text AS change, precommit FROM ${log}
            WHERE (watermark, pos) > ($1, $2) AND watermark <= COALESCE($3, f.newest)
            ORDER BY ${log}.watermark, ${log}.pos LIMIT $4) page
    ) e ON e.before < $5
    ORDER BY e.watermark, e.pos`;
};

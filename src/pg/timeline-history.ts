import type pg from 'pg';
import {type Lsn, parseLsn} from './lsn.ts';

/**
 * Where the server's history left timeline `followed`: the end of that timeline as its successor's history file says it.
 * null if the server is still on it. Asked on a replication connection. @throws pg errors if the file is not there.
 */
export const timelineEnd = async (
  session: pg.Client,
  current: number,
  followed: number,
): Promise<Lsn | null> => {
  if (current === followed) return null;
  // Of an older server, or one that never was on that timeline, nothing is shared for certain.
  if (current < followed) return 0n;
  const {rows} = await session.query<{content: Buffer | string}>(`TIMELINE_HISTORY ${current}`);
  for (const line of String(rows[0]?.content ?? '').split('\n')) {
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    if (match && Number(match[1]) === followed) return parseLsn(match[2]!);
  }
  return 0n;
};

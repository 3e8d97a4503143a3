import type pg from 'pg';
import type {Version} from '../pg/lsn.ts';
import {logLines} from './lines.ts';
import type {LiveLog} from './live-log.ts';
import {readChangeLog} from './read.ts';

/** A piece of the change log as it goes to another node. */
export interface LogPart {
  readonly lines: Buffer;
  /** Newest transaction that is complete with this part; null if there is none. */
  readonly version: Version | null;
  /** From memory, and not read from the log. */
  readonly live: boolean;
}

/**
 * The change log after `from` without gap or repetition, and without end: first from the database, then from memory as it
 * is written; back to the database for who falls out of what memory holds. Pulled, so the consumer's pace is its own.
 * @throws WatermarkTooOld if the log does not reach back to `from`.
 */
export async function* followLog(
  deps: {readonly pool: pg.Pool; readonly shard: string; readonly live: LiveLog},
  from: Version,
  signal: AbortSignal,
): AsyncGenerator<LogPart> {
  const {pool, shard, live} = deps;
  const stopListening = live.listen();
  let at = from;
  try {
    while (!signal.aborted) {
      let number = live.after(at);
      if (number === null) {
        let found = false;
        for await (const entries of readChangeLog(pool, shard, at)) {
          found = true;
          const version = entries.findLast(entry => entry.precommit !== null)?.precommit ?? null;
          yield {lines: logLines(entries), version, live: false};
          at = version ?? at;
        }
        // What was read may not be announced yet; or nobody writes now.
        if (!found && live.after(at) === null) await live.changed(signal);
        continue;
      }
      for (; !signal.aborted; number++) {
        let item = live.item(number);
        while (item === null && !signal.aborted) {
          await live.changed(signal);
          item = live.item(number);
        }
        if (item === null || item === 'lost') break;
        const {lines, to} = item;
        for (const [i, part] of lines.entries())
          yield {lines: part, version: i === lines.length - 1 ? to : null, live: true};
        at = to;
      }
    }
  } finally {
    stopListening();
  }
}

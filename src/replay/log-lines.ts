import type {OperatorFunction} from 'rxjs';
import {asideEntries, type LogEntry, logEntries} from '../change-log/entries.ts';
import {transform} from '../flow/transform.ts';
import {type Lsn, type Version, versionOfLsn} from '../pg/lsn.ts';
import {liteTableName} from '../pg/published-schema.ts';
import type {Applied} from '../replication/apply.ts';

/** What one upstream transaction did, or the part of it that came so far. */
export interface ReplayedTransaction {
  readonly commitLsn: Lsn;
  readonly version: Version;
  /** null: more of it follows. */
  readonly commitTimeMs: number | null;
  /** Changes by table, then by kind. */
  readonly changes: ReadonlyMap<string, Readonly<Record<string, number>>>;
}

export interface ReplayedBatch {
  readonly entries: readonly LogEntry[];
  readonly transactions: readonly ReplayedTransaction[];
}

/** Makes the change-log entries of applied batches, by the code that the tee writes them with. */
export const toLogEntries = (): OperatorFunction<Applied, ReplayedBatch> =>
  transform(() => {
    let pos = 0;
    return batch => {
      if (batch.kind === 'keepalive') return [];
      if (batch.kind !== 'transactions') return [{entries: asideEntries(batch), transactions: []}];
      const {entries, nextPos} = logEntries(batch, pos);
      pos = nextPos;
      return [{entries, transactions: batch.transactions.map(summary)}];
    };
  });

const summary = (part: (Applied & {kind: 'transactions'})['transactions'][number]): ReplayedTransaction => {
  const changes = new Map<string, Record<string, number>>();
  const count = (table: string, kind: string) => {
    let kinds = changes.get(table);
    if (!kinds) changes.set(table, (kinds = {}));
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  };
  for (const item of part.items)
    if (item.tag === 'truncate')
      for (const relation of item.relations) count(liteTableName(relation), item.tag);
    else if (item.tag === 'insert' || item.tag === 'update' || item.tag === 'delete')
      count(liteTableName(item.relation), item.tag);
  return {
    commitLsn: part.commitLsn,
    version: versionOfLsn(part.commitLsn),
    commitTimeMs: part.commitTimeMs,
    changes,
  };
};

/** An entry as a line of `expect.log.ndjson`. */
export const logLine = ({watermark, pos, change, precommit}: LogEntry): string =>
  `{"watermark":"${watermark}","pos":${pos},"change":${change},"precommit":${precommit === null ? 'null' : `"${precommit}"`}}`;

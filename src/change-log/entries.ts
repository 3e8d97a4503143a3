import {versionOfLsn} from '../pg/lsn.ts';
import type {Change} from '../pgoutput/messages.ts';
import type {Applied} from '../replication/apply.ts';

/** One row of the change log (replication.md §6.1, §6.2). `change` is JSON text. */
export interface LogEntry {
  readonly watermark: string;
  readonly pos: number;
  readonly change: string;
  readonly precommit: string | null;
}

/** The entries of a batch. `firstPos`: entries already written of a transaction that began in an earlier batch. */
export const logEntries = (
  batch: Applied & {kind: 'transactions'},
  firstPos: number,
): {entries: LogEntry[]; nextPos: number} => {
  const entries: LogEntry[] = [];
  let pos = firstPos;
  for (const transaction of batch.transactions) {
    const watermark = versionOfLsn(transaction.commitLsn);
    const push = (change: string, precommit: string | null = null) =>
      entries.push({watermark, pos: pos++, change, precommit});
    if (pos === 0) push('{"tag":"begin","json":"s"}');
    for (const item of transaction.items) if (item.tag !== 'relation') push(changeJson(item, batch.tableOf));
    if (transaction.commitTimeMs !== null) {
      push(`{"tag":"commit","commitTimeMs":${transaction.commitTimeMs}}`, watermark);
      pos = 0;
    }
  }
  return {entries, nextPos: pos};
};

const changeJson = (change: Change, tableOf: Applied['tableOf']): string => {
  if (change.tag === 'truncate')
    return `{"tag":"truncate","relations":[${change.relations.map(relation => tableOf(relation).relationJson).join()}]}`;
  const table = tableOf(change.relation);
  const head = `{"tag":"${change.tag}","relation":${table.relationJson}`;
  switch (change.tag) {
    case 'insert':
      return `${head},"new":${table.toJson(change.new)}}`;
    case 'update': {
      const key = change.old ? table.keyJson(change.old) : 'null';
      return `${head},"key":${key},"new":${table.toJson(change.new)}}`;
    }
    case 'delete':
      return `${head},"key":${table.keyJson(change.old)}}`;
  }
};

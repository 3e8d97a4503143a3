import {versionOfLsn} from '../pg/lsn.ts';
import type {Change, Relation} from '../pgoutput/messages.ts';
import type {Applied} from '../replication/apply.ts';
import type {TransactionItem} from '../replication/batch.ts';
import {completed, type TableApplier} from '../replication/table-applier.ts';
import {backfillJson, schemaJson} from './schema-entries.ts';

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
  let epoch = 0;
  for (const transaction of batch.transactions) {
    const watermark = versionOfLsn(transaction.commitLsn);
    const push = (change: string, precommit: string | null = null) =>
      entries.push({watermark, pos: pos++, change, precommit});
    if (pos === 0) push('{"tag":"begin","json":"s"}');
    for (const item of transaction.items) {
      if (item.tag === 'schema') epoch = item.epoch || epoch;
      for (const change of itemJson(item, relation => batch.tableOf(relation, epoch))) push(change);
    }
    if (transaction.commitTimeMs !== null) {
      push(`{"tag":"commit","commitTimeMs":${transaction.commitTimeMs}}`, watermark);
      pos = 0;
    }
  }
  return {entries, nextPos: pos};
};

/** The entries of what came beside the stream: a transaction of its own at its version. */
export const asideEntries = (batch: Applied & {kind: 'schema' | 'backfill'}): LogEntry[] => {
  const {version: watermark} = batch;
  const changes = batch.kind === 'schema' ? schemaJson(batch.update) : backfillJson(batch.step);
  if (watermark === null || !changes.length) return [];
  return ['{"tag":"begin","json":"s","skipAck":true}', ...changes, '{"tag":"commit"}'].map((change, pos) => ({
    watermark,
    pos,
    change,
    precommit: pos > changes.length ? watermark : null,
  }));
};

function* itemJson(
  item: TransactionItem,
  tableOf: (relation: Relation) => TableApplier | null,
): Generator<string> {
  switch (item.tag) {
    case 'relation':
    case 'message':
      return;
    case 'schema':
      return yield* schemaJson(item);
    case 'truncate': {
      const relations = item.relations.flatMap(relation => tableOf(relation)?.relationJson ?? []);
      if (relations.length) yield `{"tag":"truncate","relations":[${relations.join()}]}`;
      return;
    }
    default: {
      const table = tableOf(item.relation);
      if (table) yield changeJson(item, table);
    }
  }
}

const changeJson = (change: Exclude<Change, {tag: 'truncate'}>, table: TableApplier): string => {
  const head = `{"tag":"${change.tag}","relation":${table.relationJson}`;
  switch (change.tag) {
    case 'insert':
      return `${head},"new":${table.toJson(change.new)}}`;
    case 'update': {
      const key = change.old ? table.keyJson(change.old) : 'null';
      const row = completed(change.new, change.old);
      const left = table.unchanged(row);
      const unchanged = left.length ? `,"unchanged":${JSON.stringify(left)}` : '';
      return `${head},"key":${key},"new":${table.toJson(row)}${unchanged}}`;
    }
    case 'delete':
      return `${head},"key":${table.keyJson(change.old)}}`;
  }
};

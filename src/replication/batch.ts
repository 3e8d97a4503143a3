import type {OperatorFunction} from 'rxjs';
import {StreamUndecodable} from '../errors.ts';
import {transform} from '../flow/transform.ts';
import type {Lsn} from '../pg/lsn.ts';
import type {Change, LogicalMessage, Relation, WalMessage} from '../pgoutput/messages.ts';
import type {BackfillStep} from './backfill-step.ts';
import type {SchemaUpdate} from './schema-update.ts';

/** What the applier takes as one step. */
export type Batch =
  | {
      readonly kind: 'transactions';
      readonly transactions: readonly TransactionPart[];
      /** True: the last transaction goes on in the next batch, so nothing may be committed yet. */
      readonly open: boolean;
      readonly bytes: number;
    }
  /** Everything before `lsn` was sent; nothing of it was for us. */
  | {readonly kind: 'keepalive'; readonly lsn: Lsn; readonly bytes: number}
  /** Not from the stream but beside it, between two transactions; a transaction of its own. */
  | {readonly kind: 'schema'; readonly update: SchemaUpdate; readonly bytes: number}
  | {readonly kind: 'backfill'; readonly step: BackfillStep; readonly bytes: number};

export interface TransactionPart {
  readonly commitLsn: Lsn;
  /** The low 32 bits of the transaction's id. */
  readonly xid: number;
  /** null until the part that ends the transaction. */
  readonly commitTimeMs: number | null;
  readonly items: readonly TransactionItem[];
}

export type TransactionItem =
  | Change
  | {readonly tag: 'relation'; readonly relation: Relation}
  | ({readonly tag: 'message'} & LogicalMessage)
  /** Put in by `followSchema`. */
  | SchemaUpdate;

/**
 * Groups messages: whole transactions together, as many as arrived at once; a transaction larger than `partBytes`
 * leaves in parts, so that memory is bounded by that limit and not by the transaction (replication.md §3.6, §3.9).
 */
export const batchTransactions = (partBytes: number): OperatorFunction<readonly WalMessage[], Batch> =>
  transform(() => {
    let commitLsn: Lsn | null = null;
    let xid = 0;
    let items: TransactionItem[] = [];
    let bytes = 0;

    return function* (messages) {
      let done: TransactionPart[] = [];
      let doneBytes = 0;
      const flush = function* (open: boolean): Generator<Batch> {
        if (done.length) yield {kind: 'transactions', transactions: done, open, bytes: doneBytes};
        done = [];
        doneBytes = 0;
      };
      for (const message of messages) {
        switch (message.tag) {
          case 'begin':
            if (commitLsn !== null) throw new StreamUndecodable('A transaction began inside another one.');
            commitLsn = message.commitLsn;
            xid = message.xid;
            break;
          case 'commit':
            if (commitLsn !== message.commitLsn)
              throw new StreamUndecodable('A commit does not match its begin.');
            done.push({commitLsn, xid, commitTimeMs: message.commitTimeMs, items});
            doneBytes += bytes + message.bytes;
            commitLsn = null;
            items = [];
            bytes = 0;
            break;
          case 'relation':
          case 'message':
          case 'change':
            if (commitLsn === null) throw new StreamUndecodable('A change came outside of a transaction.');
            items.push(message.tag === 'change' ? message.change : message);
            bytes += message.bytes;
            if (bytes > partBytes) {
              yield* flush(false);
              done.push({commitLsn, xid, commitTimeMs: null, items});
              doneBytes = bytes;
              items = [];
              bytes = 0;
              yield* flush(true);
            }
            break;
          case 'keepalive':
            yield* flush(false);
            // Inside a transaction a keepalive may name a position beyond what we hold of it.
            if (commitLsn === null) yield {kind: 'keepalive', lsn: message.lsn, bytes: message.bytes};
            break;
        }
      }
      yield* flush(false);
    };
  });

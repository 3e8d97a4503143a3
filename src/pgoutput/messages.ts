import type {Lsn} from '../pg/lsn.ts';

/** One column of a tuple as pgoutput sends it: text, NULL, or undefined for an unchanged TOAST value that was left out. */
export type TupleValue = string | null | undefined;
export type Tuple = readonly TupleValue[];

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `relreplident`: d, n, f or i. */
  readonly replicaIdentity: string;
  readonly columns: readonly {
    readonly name: string;
    readonly isKey: boolean;
    readonly typeOid: number;
    readonly typmod: number;
  }[];
}

export type Change =
  | {readonly tag: 'insert'; readonly relation: Relation; readonly new: Tuple}
  | {
      readonly tag: 'update';
      readonly relation: Relation;
      /** Old key columns (others null) or, with identity FULL, the whole old row; null if the key did not change. */
      readonly old: Tuple | null;
      readonly new: Tuple;
    }
  | {readonly tag: 'delete'; readonly relation: Relation; readonly old: Tuple}
  | {readonly tag: 'truncate'; readonly relations: readonly Relation[]};

export interface LogicalMessage {
  readonly prefix: string;
  readonly content: Buffer;
}

/** Replication messages (replication.md §3.3). `bytes` is the size of the frame. */
export type WalMessage =
  /** `xid`: the low 32 bits of the transaction's id. */
  | {readonly tag: 'begin'; readonly commitLsn: Lsn; readonly xid: number; readonly bytes: number}
  | {readonly tag: 'commit'; readonly commitLsn: Lsn; readonly commitTimeMs: number; readonly bytes: number}
  | {readonly tag: 'relation'; readonly relation: Relation; readonly bytes: number}
  | {readonly tag: 'change'; readonly change: Change; readonly bytes: number}
  /** Of `pg_logical_emit_message`, anybody's; at its place in the transaction. */
  | ({readonly tag: 'message'; readonly bytes: number} & LogicalMessage)
  /** Everything up to `lsn` has been sent. */
  | {readonly tag: 'keepalive'; readonly lsn: Lsn; readonly replyRequested: boolean; readonly bytes: number};

import type {RowId} from '../ivm/row-id.ts';
import type {Version} from '../pg/lsn.ts';
import type {ClientSchema} from '../protocol/up.ts';
import type {AST, JsonValue} from '../zql/ast.ts';
import type {CvrVersion} from './version.ts';

/** How one client wants a query; times in ms of the group's TTL clock (views.md §1.3). */
export interface Desire {
  ttlMs: number;
  /** null: active. */
  inactivatedAtMs: number | null;
  deleted: boolean;
}

export interface QueryRecord {
  readonly hash: string;
  readonly ast: AST | null;
  readonly name: string | null;
  readonly args: readonly JsonValue[] | null;
  readonly internal: boolean;
  /** Version at which it was got; null until then. Internal queries are never got. */
  patchVersion: string | null;
  transformationHash: string | null;
  transformationVersion: string | null;
  readonly desires: Map<string, Desire>;
}

/** A client view record without its rows: what a caught-up client of the group holds (views.md §1). */
export interface Cvr {
  readonly clientGroupID: string;
  version: CvrVersion;
  replicaVersion: Version | null;
  clientSchema: ClientSchema | null;
  profileID: string | null;
  /** ms of lifetime under a server. */
  ttlClockMs: number;
  readonly clients: Set<string>;
  readonly queries: Map<string, QueryRecord>;
}

/** A row as the CVR knows it. */
export interface RowRecord {
  readonly id: RowId;
  readonly rowVersion: Version;
}

/** One row of `rows` to write. `patchVersion` null: leave it and the row version as they are. */
export interface RowWrite {
  readonly id: RowId;
  readonly rowVersion: Version | null;
  readonly patchVersion: string | null;
  /** null: a tombstone. */
  readonly refCounts: Readonly<Record<string, number>> | null;
}

/** Everything one flush changes; versions in text form. */
export interface CvrUpdate {
  readonly clientGroupID: string;
  readonly expectedVersion: string;
  readonly version: string;
  readonly connectTimeMs: number;
  readonly ttlClockMs: number;
  readonly replicaVersion: Version | null;
  readonly clientSchema: ClientSchema | null;
  readonly profileID: string | null;
  readonly newClients: readonly string[];
  readonly deletedClients: readonly string[];
  /** Full records; `deleted` marks a query that was given up at `patchVersion`. */
  readonly queries: readonly (Omit<QueryRecord, 'desires'> & {readonly deleted: boolean})[];
  readonly desires: readonly (Desire & {readonly clientID: string; readonly hash: string})[];
  readonly rows: readonly RowWrite[];
}

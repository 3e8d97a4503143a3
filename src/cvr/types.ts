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
  /** ms of lifetime under a server, when it was loaded. */
  readonly ttlClockMs: number;
  readonly clients: Set<string>;
  readonly queries: Map<string, QueryRecord>;
  /** Digest of the rows of each query that ran, internal ones too, if they are those of `version`; null: not known. */
  rowSets: Readonly<Record<string, string>> | null;
}

/**
 * Rows to write, column by column; no row twice. Three kinds: a put has version and references; a tombstone has neither; a
 * row that only gained or lost a query has references alone, and keeps its versions. Shared by groups: compared by identity.
 */
export interface RowColumns {
  readonly tables: readonly string[];
  /** JSON text `{"<column>":…}`. */
  readonly keys: readonly string[];
  /** Empty text: none. */
  readonly rowVersions: readonly Version[];
  /** JSON text `{"<query>":1,…}`; null: none. */
  readonly refCounts: readonly (string | null)[];
}

/** Everything one flush changes; versions in text form. */
export interface CvrUpdate {
  readonly clientGroupID: string;
  /** The version it was computed from; the write is refused if the stored one differs. */
  readonly expectedVersion: string;
  readonly version: string;
  /** Wall clock of the newest connection: ownership moves only forward in it. */
  readonly connectTimeMs: number;
  readonly ttlClockMs: number;
  readonly replicaVersion: Version | null;
  /** null: as stored. */
  readonly clientSchema: ClientSchema | null;
  /** null: as stored. */
  readonly profileID: string | null;
  readonly newClients: readonly string[];
  readonly deletedClients: readonly string[];
  /** Full records; `deleted` marks a query that was given up at `patchVersion`. */
  readonly queries: readonly (Omit<QueryRecord, 'desires'> & {readonly deleted: boolean})[];
  readonly desires: readonly (Desire & {readonly clientID: string; readonly hash: string})[];
  /** Disjoint. */
  readonly rows: readonly RowColumns[];
}

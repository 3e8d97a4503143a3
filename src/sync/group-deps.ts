import type {CatchUpReader} from '../cvr/catch-up.ts';
import type {CvrLoader} from '../cvr/load.ts';
import type {CvrStore} from '../cvr/store.ts';
import type {QueryRecord} from '../cvr/types.ts';
import type {QueryRegistry} from '../ivm/registry.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import type {ErroredQuery} from '../protocol/down.ts';
import type {AST} from '../zql/ast.ts';
import type {ClientGroup} from './client-group.ts';
import type {ClientConnection} from './types.ts';
import type {Views} from './views.ts';

/** What is to be run for a desired query, or why it cannot be: then it is given up, and its clients are told. */
export type Transformed = {readonly ast: AST} | {readonly error: ErroredQuery};

/**
 * Turns desired queries into what is run: permissions added and parameters bound for client queries, the app's endpoint
 * asked for named ones. By query hash; a query that is absent from the result stays desired and un-got.
 * @throws ProtocolError if the whole call failed: the connection gets it, and graphs that run go on.
 */
export type TransformQueries = (
  queries: readonly QueryRecord[],
  connection: ClientConnection,
) => Promise<ReadonlyMap<string, Transformed>>;

/** What all client groups of a worker share. */
export interface GroupDeps {
  readonly shard: string;
  readonly log: Log;
  readonly registry: QueryRegistry;
  readonly views: Views;
  readonly loader: Pick<CvrLoader, 'load' | 'rows'>;
  readonly store: CvrStore;
  readonly catchUps: CatchUpReader;
  readonly transform: TransformQueries;
  /** A group without clients is kept this long for a quick reconnect. */
  readonly lingerMs: number;
  /** The group wants to go through the chain; it does not ask again before it has. */
  readonly onWake: (group: ClientGroup) => void;
  /** Resolves when the registry has reached a version. */
  readonly reached: (version: Version) => Promise<void>;
}

/** Makes a group; `onEnd` is called once, when it has ended. */
export type MakeGroup = (id: string, deps: GroupDeps, onEnd: (group: ClientGroup) => void) => ClientGroup;

import type {CatchUpReader} from '../cvr/catch-up.ts';
import type {CvrLoader} from '../cvr/load.ts';
import type {CvrStore} from '../cvr/store.ts';
import type {QueryRegistry} from '../ivm/registry.ts';
import type {Log} from '../observe/log.ts';
import type {Version} from '../pg/lsn.ts';
import type {TransformQueries} from './transform-queries.ts';
import type {Views} from './views.ts';

/** What all client groups of a worker share. */
export interface GroupDeps {
  readonly shard: string;
  readonly log: Log;
  readonly registry: QueryRegistry;
  readonly views: Views;
  readonly loader: Pick<CvrLoader, 'load' | 'rows' | 'version'>;
  readonly store: CvrStore;
  readonly catchUps: CatchUpReader;
  readonly transform: TransformQueries;
  /** A group without clients is kept this long for a quick reconnect. */
  readonly lingerMs: number;
  /** Resolves when the registry has reached a version. */
  readonly reached: (version: Version) => Promise<void>;
}

import type {Version} from '../pg/lsn.ts';
import type {VersionReady} from './types.ts';

/** Versions remembered at most: what is older has been served long ago. */
const MAX = 256;

/** When PostgreSQL committed the newest versions: by it, stages after the replica measure their lag. */
export class CommitTimes {
  readonly #times = new Map<Version, number>();

  note({version, upstreamCommitTimeMs}: VersionReady): void {
    if (upstreamCommitTimeMs === null) return;
    this.#times.set(version, upstreamCommitTimeMs);
    if (this.#times.size > MAX) this.#times.delete(this.#times.keys().next().value!);
  }

  /** Wall clock in ms; null if the version is unknown. */
  of(version: Version): number | null {
    return this.#times.get(version) ?? null;
  }
}

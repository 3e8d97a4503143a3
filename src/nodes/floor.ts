import type {Version} from '../pg/lsn.ts';

/** Someone who may still resume from a version of the change log. */
export interface Reservation {
  /** What is below `version` is not needed any more. Never goes back. */
  advance(version: Version): void;
  release(): void;
}

/**
 * Who still needs the change log, and from where on (replication.md §6.6): subscribers by what they have consumed, and
 * snapshots of the replica that were handed out and whose receivers have yet to subscribe. `lowest` goes to the tee as the
 * limit of what it deletes.
 */
export class PurgeFloor {
  readonly #reserved = new Set<{version: Version}>();

  /** Keeps what follows `version` until it is advanced or released. Releasing twice is harmless. */
  reserve(version: Version): Reservation {
    const entry = {version};
    this.#reserved.add(entry);
    return {
      advance: to => {
        if (to > entry.version) entry.version = to;
      },
      release: () => void this.#reserved.delete(entry),
    };
  }

  /** null: nobody needs anything. */
  get lowest(): Version | null {
    let lowest: Version | null = null;
    for (const {version} of this.#reserved) if (lowest === null || version < lowest) lowest = version;
    return lowest;
  }
}

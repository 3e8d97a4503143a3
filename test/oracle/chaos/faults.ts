/** What no network and no restart excuses: an undecodable stream, broken invariants, a replica that is given up. */
const NEVER = new Set([
  'P001',
  'R001',
  'R002',
  'R003',
  'R004',
  'R007',
  'R008',
  'R010',
  'R014',
  'R021',
  'R031',
]);
/** Kinds of errors that send a client elsewhere, or away for a moment. */
const PASSING = /"kind":"(Rehome|ServerOverloaded)"/;
/** Where the change log had to begin anew (D-042) each follower fetches the replica: once more if it was just fetching it. */
const REFETCHES = 2;

interface Line {
  readonly code?: string;
  readonly msg?: string;
  readonly message?: string;
  readonly err?: {readonly message?: string; readonly code?: string};
}

/** Reads what servers and clients have to say; `told` hears what is excused. */
export class Faults {
  readonly found: string[] = [];
  readonly #followers: number;
  readonly #told: (line: string) => void;
  #logRestarts = 0;
  #refetches = 0;

  constructor(followers: number, told: (line: string) => void) {
    this.#followers = followers;
    this.#told = told;
  }

  /** All that one process of a server printed, once. */
  ofServer(output: string): void {
    for (const text of output.split('\n').filter(Boolean)) {
      const line = parsed(text);
      const message = line?.msg ?? line?.message ?? '';
      if (message.startsWith('the change log lacks')) this.#logRestarts++;
      if (line?.code === 'R012') this.#refetches++;
      if (!line || (line.code !== undefined && NEVER.has(line.code))) this.found.push(text);
      else this.#told(['log:', line.code, message, line.err?.code, line.err?.message].join(' '));
    }
  }

  /** Everything was read. */
  close(): void {
    if (this.#refetches > REFETCHES * this.#logRestarts * this.#followers)
      this.found.push(
        `the replica was fetched ${this.#refetches} times because of ${this.#logRestarts} gaps in the change log`,
      );
  }

  /** Why a client's connection ended. */
  ofClient(reason: string): void {
    if (reason.startsWith('the server reports') && !PASSING.test(reason)) this.found.push(reason);
    else this.#told(reason);
  }
}

const parsed = (text: string): Line | null => {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
};

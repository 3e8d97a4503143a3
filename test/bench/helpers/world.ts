import {loadIssueTracker} from '../data/load.ts';
import {type Counts, countsAt, totalRows} from '../data/rows.ts';
import {BenchServer, type Kind} from './bench-server.ts';
import type {BenchPostgres} from './postgres.ts';
import {Results} from './table.ts';
import type {FigureID} from './targets.ts';

/** One bench: a name, the figures it may report, and how it measures them for one server. */
export interface Bench {
  readonly name: string;
  readonly figures: readonly FigureID[];
  run(world: World, kind: Kind): Promise<void>;
}

export interface WorldOptions {
  readonly postgres: BenchPostgres;
  readonly scale: number;
  readonly rounds: number;
  /** The figures asked for. */
  readonly wanted: ReadonlySet<string>;
  readonly log: (line: string) => void;
  /** Added to the environment of our server. */
  readonly oursEnv: Readonly<Record<string, string>>;
}

/** What the benches of one run share: PostgreSQL, the data, the results. */
export class World {
  readonly postgres: BenchPostgres;
  readonly scale: number;
  readonly rounds: number;
  readonly counts: Counts;
  readonly results = new Results();
  readonly #wanted: ReadonlySet<string>;
  readonly #log: (line: string) => void;
  readonly #oursEnv: Readonly<Record<string, string>>;
  #template: Promise<string> | null = null;
  #next = 1;

  constructor({postgres, scale, rounds, wanted, log, oursEnv}: WorldOptions) {
    this.postgres = postgres;
    this.scale = scale;
    this.rounds = rounds;
    this.counts = countsAt(scale);
    this.#wanted = wanted;
    this.#log = log;
    this.#oursEnv = oursEnv;
  }

  wants(...ids: readonly FigureID[]): boolean {
    return ids.some(id => this.#wanted.has(id));
  }

  log(line: string): void {
    this.#log(line);
  }

  report(kind: Kind, id: FigureID, value: number): void {
    this.results.add(kind, id, value);
    this.#log(`${kind} ${id}: ${value.toPrecision(4)}`);
  }

  envOf(kind: Kind): Readonly<Record<string, string>> {
    return kind === 'ours' ? this.#oursEnv : {};
  }

  /** A server with an issue tracker, or nothing, upstream; all of it is gone after `work`. */
  async withServer<T>(
    kind: Kind,
    upstream: 'tracker' | 'empty',
    work: (server: BenchServer, url: string) => Promise<T>,
  ): Promise<T> {
    return this.withDatabase(upstream, async (url, appID) => {
      const server = await BenchServer.start({kind, upstream: url, appID, env: this.envOf(kind)});
      try {
        return await work(server, url);
      } catch (error) {
        const printed = server.output().slice(-4000);
        throw new Error(`${(error as Error).message}${printed ? `\nthe server printed:\n${printed}` : ''}`, {
          cause: error,
        });
      } finally {
        await server.stop();
      }
    });
  }

  /** A database of its own and an app id that names its slots. */
  async withDatabase<T>(
    upstream: 'tracker' | 'empty',
    work: (url: string, appID: string) => Promise<T>,
  ): Promise<T> {
    const name = `bench${this.#next++}`;
    const url = await this.postgres.create(name, upstream === 'tracker' ? await this.#loaded() : undefined);
    try {
      return await work(url, name);
    } finally {
      await this.postgres.drop(name);
    }
  }

  #loaded(): Promise<string> {
    this.#template ??= (async () => {
      const startedAt = performance.now();
      const url = await this.postgres.create('tracker');
      await loadIssueTracker(url, this.scale);
      this.#log(`${totalRows(this.counts)} rows loaded in ${Math.round(performance.now() - startedAt)} ms`);
      return 'tracker';
    })();
    return this.#template;
  }
}

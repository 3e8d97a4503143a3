import type pg from 'pg';
import {type CheckedQuery, COLD} from '../../bench/data/queries.ts';
import type {Counts} from '../../bench/data/rows.ts';
import {RawClient, type WireQuery} from '../../bench/helpers/raw-client.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import type {Random} from '../../helpers/random.ts';

/** What all of it takes turns with: disturbed, or quiet while answers are compared. */
export interface Weather {
  quiet: boolean;
  over: boolean;
}

const QUERIES = 3;
const KINDS = [COLD.T5, COLD.T7, COLD.T9] as const;
/** Few enough that visitors share query graphs. */
const CONSTANTS = 40;

/** A client that comes back with its cookie to one view-syncer or another whenever it leaves or is thrown out, and changes its mind about its queries. */
export class Visitor {
  readonly #client: RawClient;
  readonly #urls: readonly string[];
  readonly #random: Random;
  readonly #counts: Counts;
  /** A row that every visitor watches, to tell how far each has got. */
  readonly #witness: WireQuery;
  readonly #queries: CheckedQuery[];
  /** Dropped for good, though the server may not have heard of it. */
  readonly #dropped = new Map<string, CheckedQuery>();
  #isServed = false;

  constructor(urls: readonly string[], random: Random, counts: Counts, witness: WireQuery) {
    this.#urls = urls;
    this.#random = random;
    this.#counts = counts;
    this.#witness = witness;
    this.#client = new RawClient({url: urls[0]!, keep: 'rows'});
    this.#queries = Array.from({length: QUERIES}, () => this.#another());
  }

  get id(): string {
    return this.#client.clientGroupID;
  }

  /** Comes and goes until it is over; `told` hears why connections ended. */
  async live(weather: Weather, told: (reason: string) => void): Promise<void> {
    while (!weather.over) {
      try {
        await this.#visit(weather);
      } catch (error) {
        told((error as Error).message);
      }
      this.#isServed = false;
      this.#client.close();
      await sleep(50 + this.#random.int(500));
    }
  }

  /** The witness's title, if the visitor is served. */
  seen(witnessID: string): unknown {
    return this.#isServed ? this.#client.reader.rows.get(`issue/${witnessID}`)?.['title'] : undefined;
  }

  /** Issues that differ from PostgreSQL's answers to all of its queries: `id: expected | got`. */
  async differences(db: pg.Client, witnessID: string): Promise<string[]> {
    const asked = [...this.#queries.map(({answer}) => answer.sql), `SELECT '${witnessID}' AS id`];
    const ids = asked.map((sql, n) => `(SELECT id FROM (${sql}) AS q${n})`).join(' UNION ');
    const {rows} = await db.query<Record<'id' | 'text', string>>(
      `SELECT id, concat_ws(' ', title, status, project) AS text FROM issue WHERE id IN (${ids})`,
    );
    const expected = new Map(rows.map(({id, text}) => [id, text]));
    const got = new Map<string, string>();
    for (const [key, row] of this.#client.reader.rows)
      if (key.startsWith('issue/'))
        got.set(String(row['id']), [row['title'], row['status'], row['project']].join(' '));
    return [...new Set([...expected.keys(), ...got.keys()])]
      .filter(id => expected.get(id) !== got.get(id))
      .map(id => `${id}: ${expected.get(id)} | ${got.get(id)}`);
  }

  async #visit(weather: Weather): Promise<void> {
    const client = this.#client;
    client.moveTo(this.#random.pick(this.#urls));
    const wanted = [this.#witness, ...this.#queries];
    await client.connect(wanted);
    if (this.#dropped.size) client.drop([...this.#dropped.values()]);
    await client.got(wanted);
    this.#isServed = true;
    const leaveAt = Date.now() + 2000 + this.#random.int(15_000);
    const leave = async () => {
      while (!weather.over && (weather.quiet || Date.now() < leaveAt)) await sleep(50);
    };
    await Promise.race([client.until(() => weather.over), leave()]);
    if (!weather.over && this.#random.chance(0.25)) await this.#changeMind();
  }

  async #changeMind(): Promise<void> {
    const place = this.#random.int(QUERIES);
    const before = this.#queries[place]!;
    const next = this.#another();
    this.#queries[place] = next;
    this.#dropped.delete(next.hash);
    if (!this.#queries.some(({hash}) => hash === before.hash)) {
      this.#dropped.set(before.hash, before);
      this.#client.drop([before]);
    }
    this.#client.put([next]);
    await this.#client.got([next]);
  }

  #another(): CheckedQuery {
    return this.#random.pick(KINDS)(this.#random.int(CONSTANTS), this.#counts);
  }
}

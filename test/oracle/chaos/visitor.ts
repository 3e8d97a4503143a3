import {createHash} from 'node:crypto';
import type pg from 'pg';
import {type CheckedQuery, COLD} from '../../bench/data/queries.ts';
import type {Counts} from '../../bench/data/rows.ts';
import {zql} from '../../bench/data/schema.ts';
import {RawClient, type WireQuery, wireQuery} from '../../bench/helpers/raw-client.ts';
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
  /** Queries of the row that every visitor watches, to tell how far each has got, and of the one that only it writes. */
  readonly #always: readonly WireQuery[];
  readonly #ownIssue: string;
  /** Mutations sent so far; each sets its number. */
  #mutations = 0;
  readonly #queries: CheckedQuery[];
  /** Dropped for good, though the server may not have heard of it. */
  readonly #dropped = new Map<string, CheckedQuery>();
  #isServed = false;

  constructor(
    urls: readonly string[],
    random: Random,
    counts: Counts,
    {witness, ownIssue}: {readonly witness: string; readonly ownIssue: string},
  ) {
    this.#urls = urls;
    this.#random = random;
    this.#counts = counts;
    this.#ownIssue = ownIssue;
    this.#always = [witness, ownIssue].map(id => wireQuery(zql.issue.where('id', id)));
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

  /** Whether all of its mutations are told to be done. */
  get settled(): boolean {
    return this.#client.lastMutationID === this.#mutations;
  }

  /** Issues that differ from PostgreSQL's answers to all of its queries: `id: expected | got`. */
  async differences(db: pg.Client, witnessID: string): Promise<string[]> {
    const asked = [
      ...this.#queries.map(({answer}) => answer.sql),
      ...[witnessID, this.#ownIssue].map(id => `SELECT '${id}' AS id`),
    ];
    const ids = asked.map((sql, n) => `(SELECT id FROM (${sql}) AS q${n})`).join(' UNION ');
    const {rows} = await db.query<Record<'id' | 'text', string>>(
      `SELECT id, concat_ws(' ', title, status, project, priority, md5(description)) AS text FROM issue WHERE id IN (${ids})`,
    );
    const expected = new Map(rows.map(({id, text}) => [id, text]));
    const got = new Map<string, string>();
    for (const [key, row] of this.#client.reader.rows)
      if (key.startsWith('issue/'))
        got.set(
          String(row['id']),
          [row['title'], row['status'], row['project'], row['priority'], md5(row['description'])].join(' '),
        );
    const found = [...new Set([...expected.keys(), ...got.keys()])]
      .filter(id => expected.get(id) !== got.get(id))
      .map(id => `${id}: ${expected.get(id)} | ${got.get(id)}`);
    const written = this.#client.reader.rows.get(`issue/${this.#ownIssue}`)?.['priority'];
    if (this.#mutations && written !== this.#mutations)
      found.push(`${this.#mutations} mutations are told to be done, but the row is of number ${written}`);
    return found;
  }

  async #visit(weather: Weather): Promise<void> {
    const client = this.#client;
    client.moveTo(this.#random.pick(this.#urls));
    const wanted = [...this.#always, ...this.#queries];
    await client.connect(wanted);
    if (this.#dropped.size) client.drop([...this.#dropped.values()]);
    await client.got(wanted);
    for (let id = client.lastMutationID + 1; id <= this.#mutations; id++) this.#mutate(id);
    this.#isServed = true;
    const leaveAt = Date.now() + 2000 + this.#random.int(15_000);
    const stay = async () => {
      while (!weather.over && (weather.quiet || Date.now() < leaveAt)) {
        await sleep(50);
        if (!weather.quiet && this.#random.chance(0.05)) this.#mutate(++this.#mutations);
      }
    };
    await Promise.race([client.until(() => weather.over), stay()]);
    if (!weather.over && this.#random.chance(0.25)) await this.#changeMind();
  }

  #mutate(id: number): void {
    this.#client.updateIssue({id: this.#ownIssue, priority: id}, id);
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

const md5 = (value: unknown): string => createHash('md5').update(String(value)).digest('hex');

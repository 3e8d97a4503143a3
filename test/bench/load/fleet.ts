import {five} from '../data/queries.ts';
import {type Counts, issueID} from '../data/rows.ts';
import {zql} from '../data/schema.ts';
import type {Commits} from '../helpers/commits.ts';
import {RawClient, wireQuery} from '../helpers/raw-client.ts';
import {sleep} from '../helpers/wait.ts';
import {connectAll} from '../queries/fan-out.ts';

/** Client groups with the five queries that all share and one of their own, an issue by its id. */
export class Fleet {
  readonly clients: RawClient[] = [];
  /** Bytes of all pokes that arrived. */
  pokeBytes = 0;
  readonly #urls: readonly string[];
  readonly #commits: Commits;
  readonly #counts: Counts;

  /** @param urls of the nodes; groups go to them in turn, and stay. */
  constructor(urls: readonly string[], commits: Commits, counts: Counts) {
    this.#urls = urls;
    this.#commits = commits;
    this.#counts = counts;
  }

  async growTo(size: number): Promise<void> {
    const first = this.clients.length;
    const added = Array.from({length: size - first}, (_, i) => {
      const client = new RawClient({url: this.#urls[(first + i) % this.#urls.length]!});
      client.onPoke = ({bytes}) => {
        this.pokeBytes += bytes;
      };
      return client;
    });
    this.clients.push(...added);
    const shared = five();
    await connectAll(added, i => [...shared, this.#own(first + i)]);
  }

  /** One change of a row that all groups have; resolves when the last of them was told. */
  async changeShared(): Promise<void> {
    const before = this.clients.map(client => client.reader.rowPatches);
    await this.#commits.touchWatched();
    await this.#told(before);
  }

  /** One change of a row that one group has. */
  async changeOwn(n: number): Promise<void> {
    const i = 1 + (n % (this.clients.length - 1 || 1));
    const client = this.clients[i] ?? this.clients[0]!;
    const before = client.reader.rowPatches;
    await this.#commits.retitle(this.#ownIssue(this.clients.indexOf(client)));
    await client.until(() => client.reader.rowPatches > before);
  }

  /** One change of a row that nobody has. */
  async changeUnrelated(n: number): Promise<void> {
    // Beyond the groups' own issues and below the highest numbers, which all groups have.
    await this.#commits.retitle(this.#outsideProject0(Math.floor(this.#counts.issue * 0.6) + n));
    await sleep(20);
  }

  close(): void {
    for (const client of this.clients) client.close();
  }

  #own(i: number) {
    return wireQuery(zql.issue.where('id', this.#ownIssue(i)));
  }

  #ownIssue(i: number): string {
    return this.#outsideProject0(i % (this.#counts.issue >> 1));
  }

  /** The `i`th issue that is not in the project of which all groups have a window. */
  #outsideProject0(i: number): string {
    return issueID(1 + i + Math.floor(i / (this.#counts.project - 1)));
  }

  async #told(before: readonly number[]): Promise<void> {
    await Promise.all(
      this.clients.map((client, i) => client.until(() => client.reader.rowPatches > before[i]!)),
    );
  }
}

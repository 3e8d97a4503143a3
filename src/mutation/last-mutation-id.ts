import {ident} from '../pg/identifier.ts';
import type {Queryable} from '../pg/queryable.ts';
import type {Statement} from './transaction.ts';
import type {MutationRequest} from './types.ts';

/** SQLSTATE by which {@link MutationIDs.claim} refuses: division by zero. */
export const ID_MISMATCH = '22012';

/** The last mutation ids of clients in `{shard}.clients` (mutations-auth.md §3.3). */
export class MutationIDs {
  readonly #table: string;

  constructor(shard: string) {
    this.#table = `${ident(shard)}."clients"`;
  }

  /** Takes the next id of a client, holding its row until the transaction ends. @returns the id that is due. */
  async take(client: Queryable, clientGroupID: string, clientID: string): Promise<number> {
    const {rows} = await client.query<{id: string}>({
      name: 'zs-take-mutation-id',
      text: `INSERT INTO ${this.#table} AS current ("clientGroupID", "clientID", "lastMutationID")
        VALUES ($1, $2, 1) ON CONFLICT ("clientGroupID", "clientID")
        DO UPDATE SET "lastMutationID" = current."lastMutationID" + 1 RETURNING "lastMutationID" AS id`,
      values: [clientGroupID, clientID],
    });
    return Number(rows[0]!.id);
  }

  /** Takes `count` ids up to `last`, or fails with {@link ID_MISMATCH} when others are due. */
  claim(clientGroupID: string, clientID: string, count: number, last: number): Statement {
    return {
      text: `INSERT INTO ${this.#table} AS current ("clientGroupID", "clientID", "lastMutationID")
        VALUES ($1, $2, $3::int8) ON CONFLICT ("clientGroupID", "clientID")
        DO UPDATE SET "lastMutationID" = current."lastMutationID" + $3::int8
        RETURNING 1 / (CASE WHEN "lastMutationID" = $4::int8 THEN 1 ELSE 0 END)`,
      values: [clientGroupID, clientID, count, last],
    };
  }

  /** The claims of mutations that come in order; null if the ids of a client are not consecutive. */
  claims(requests: readonly MutationRequest[]): Statement[] | null {
    const taken = new Map<string, {clientGroupID: string; count: number; last: number}>();
    for (const {connection, mutation} of requests) {
      const before = taken.get(mutation.clientID);
      if (before && before.last + 1 !== mutation.id) return null;
      taken.set(mutation.clientID, {
        clientGroupID: connection.clientGroupID,
        count: (before?.count ?? 0) + 1,
        last: mutation.id,
      });
    }
    return [...taken].map(([clientID, {clientGroupID, count, last}]) =>
      this.claim(clientGroupID, clientID, count, last),
    );
  }

  /** Last ids of the clients that have one. */
  async read(
    pool: Queryable,
    clientGroupID: string,
    clientIDs: readonly string[],
  ): Promise<ReadonlyMap<string, number>> {
    const {rows} = await pool.query<{client: string; id: string}>(
      `SELECT "clientID" AS client, "lastMutationID" AS id FROM ${this.#table} WHERE "clientGroupID" = $1 AND "clientID" = ANY($2)`,
      [clientGroupID, clientIDs],
    );
    return new Map(rows.map(({client, id}) => [client, Number(id)]));
  }
}

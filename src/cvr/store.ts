import type pg from 'pg';
import {keyTextOfRowId, tableOfRowId} from '../ivm/row-id.ts';
import {rehome} from './load.ts';
import {cvrSchema} from './schema.ts';
import type {CvrUpdate, RowWrite} from './types.ts';

/** Groups and rows that share one transaction at most: a bad neighbour costs little. */
const MAX_GROUPS = 100;
const MAX_ROWS = 20_000;

interface Waiting {
  readonly update: CvrUpdate;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes view records. Updates of many groups that come while a commit is under way share the next transaction, each
 * checked on its own: a group that lost its record to another server fails alone (views.md §9.2).
 */
export class CvrStore {
  readonly #pool: pg.Pool;
  readonly #taskID: string;
  readonly #sql: ReturnType<typeof statements>;
  #waiting: Waiting[] = [];
  #running = false;
  commits = 0;

  constructor(pool: pg.Pool, shard: string, taskID: string) {
    this.#pool = pool;
    this.#taskID = taskID;
    this.#sql = statements(cvrSchema(shard));
  }

  /** Resolves when the update is durable. @throws ProtocolError `Rehome` if another server has changed or taken the record. */
  commit(update: CvrUpdate): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({update, resolve, reject});
      if (!this.#running) {
        this.#running = true;
        void this.#run();
      }
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length) {
      const batch: Waiting[] = [];
      let rows = 0;
      while (this.#waiting.length && batch.length < MAX_GROUPS && rows < MAX_ROWS) {
        const next = this.#waiting.shift()!;
        batch.push(next);
        rows += next.update.rows.length;
      }
      try {
        const refused = await this.#write(batch.map(item => item.update));
        for (const {update, resolve, reject} of batch) {
          const reason = refused.get(update.clientGroupID);
          if (reason) reject(rehome(reason));
          else resolve();
        }
      } catch (error) {
        if (batch.length === 1) batch[0]!.reject(error);
        // Whose fault it was is found by writing each alone.
        else for (const item of batch) await this.#alone(item);
      }
    }
    this.#running = false;
  }

  async #alone({update, resolve, reject}: Waiting): Promise<void> {
    try {
      const reason = (await this.#write([update])).get(update.clientGroupID);
      if (reason) reject(rehome(reason));
      else resolve();
    } catch (error) {
      reject(error);
    }
  }

  /** One transaction. @returns the refused groups with the reason. */
  async #write(updates: readonly CvrUpdate[]): Promise<Map<string, string>> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN');
      const fresh = updates
        .filter(update => update.expectedVersion === '00')
        .map(update => update.clientGroupID);
      if (fresh.length) await client.query(this.#sql.create, [fresh]);
      const {rows} = await client.query<{
        clientGroupID: string;
        version: string;
        owner: string | null;
        grantedAtMs: number | null;
      }>(this.#sql.lock, [updates.map(update => update.clientGroupID)]);
      const stored = new Map(rows.map(row => [row.clientGroupID, row]));
      const refused = new Map<string, string>();
      for (const {clientGroupID, expectedVersion, connectTimeMs} of updates) {
        const row = stored.get(clientGroupID);
        if (row && row.owner !== this.#taskID && (row.grantedAtMs ?? 0) > connectTimeMs)
          refused.set(clientGroupID, 'A newer connection of the client group is served elsewhere.');
        else if (row?.version !== expectedVersion)
          refused.set(
            clientGroupID,
            `The view record is at ${row?.version ?? 'nothing'}, not at ${expectedVersion}.`,
          );
      }
      const accepted = updates.filter(update => !refused.has(update.clientGroupID));
      if (accepted.length) await this.#writeAccepted(client, accepted);
      await client.query('COMMIT');
      this.commits++;
      return refused;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      throw error;
    } finally {
      client.release();
    }
  }

  async #writeAccepted(client: pg.PoolClient, updates: readonly CvrUpdate[]): Promise<void> {
    const run = async (sql: string, records: readonly string[]) => {
      if (records.length) await client.query(sql, [`[${records.join()}]`]);
    };
    const records = <T>(
      items: (update: CvrUpdate) => readonly T[],
      toRecord: (item: T) => object,
    ): string[] =>
      updates.flatMap(update =>
        items(update).map(item =>
          JSON.stringify({g: update.clientGroupID, v: update.version, ...toRecord(item)}),
        ),
      );

    await run(
      this.#sql.instances,
      updates.map(update =>
        JSON.stringify({
          g: update.clientGroupID,
          v: update.version,
          ttlClock: update.ttlClockMs,
          replicaVersion: update.replicaVersion,
          owner: this.#taskID,
          grantedAt: update.connectTimeMs / 1000,
          clientSchema: update.clientSchema,
          profileID: update.profileID,
        }),
      ),
    );
    await run(
      this.#sql.clients,
      records(
        update => update.newClients,
        c => ({c}),
      ),
    );
    await run(
      this.#sql.deleteClients,
      records(
        update => update.deletedClients,
        c => ({c}),
      ),
    );
    await run(
      this.#sql.queries,
      records(
        update => update.queries,
        ({
          hash,
          ast,
          name,
          args,
          internal,
          patchVersion,
          transformationHash,
          transformationVersion,
          deleted,
        }) => ({
          h: hash,
          ast,
          name,
          args,
          internal,
          patchVersion,
          transformationHash,
          transformationVersion,
          deleted,
        }),
      ),
    );
    await run(
      this.#sql.desires,
      records(
        update => update.desires,
        ({clientID, hash, ttlMs, inactivatedAtMs, deleted}) => ({
          c: clientID,
          h: hash,
          ttlMs,
          inactivatedAtMs,
          deleted,
        }),
      ),
    );
    await run(
      this.#sql.rowsVersion,
      records(
        () => [null],
        () => ({}),
      ),
    );
    await run(
      this.#sql.rows,
      updates.flatMap(update => update.rows.map(row => rowRecord(update, row))),
    );
  }
}

/** Built by hand: the key is JSON text already, and there may be very many. */
const rowRecord = ({clientGroupID, version}: CvrUpdate, row: RowWrite): string =>
  `{"g":${JSON.stringify(clientGroupID)},"t":${JSON.stringify(tableOfRowId(row.id))},"k":${keyTextOfRowId(row.id)},` +
  `"rv":${JSON.stringify(row.rowVersion ?? '')},"pv":"${row.patchVersion ?? version}",` +
  `"rc":${row.refCounts ? JSON.stringify(row.refCounts) : 'null'}}`;

const statements = (cvr: string) => ({
  create: `INSERT INTO ${cvr}.instances ("clientGroupID", version, "lastActive")
    SELECT g, '00', to_timestamp(0) FROM unnest($1::text[]) g ORDER BY g ON CONFLICT DO NOTHING`,
  // Ordered, so that two servers with the same groups wait for each other instead of dead-locking.
  lock: `SELECT "clientGroupID", version, owner, extract(epoch FROM "grantedAt")::float8 * 1000 AS "grantedAtMs"
    FROM ${cvr}.instances WHERE "clientGroupID" = ANY($1) ORDER BY "clientGroupID" FOR UPDATE`,
  instances: `UPDATE ${cvr}.instances i SET version = x.v, "lastActive" = now(), "ttlClock" = x."ttlClock",
      "replicaVersion" = x."replicaVersion", owner = x.owner, "grantedAt" = to_timestamp(x."grantedAt"),
      "clientSchema" = x."clientSchema", "profileID" = x."profileID", deleted = FALSE
    FROM json_to_recordset($1) AS x(g TEXT, v TEXT, "ttlClock" FLOAT8, "replicaVersion" TEXT, owner TEXT,
      "grantedAt" FLOAT8, "clientSchema" JSONB, "profileID" TEXT) WHERE i."clientGroupID" = x.g`,
  clients: `INSERT INTO ${cvr}.clients ("clientGroupID", "clientID")
    SELECT g, c FROM json_to_recordset($1) AS x(g TEXT, c TEXT) ON CONFLICT DO NOTHING`,
  deleteClients: `DELETE FROM ${cvr}.clients t USING json_to_recordset($1) AS x(g TEXT, c TEXT)
    WHERE t."clientGroupID" = x.g AND t."clientID" = x.c`,
  queries: `INSERT INTO ${cvr}.queries ("clientGroupID", "queryHash", "clientAST", "queryName", "queryArgs",
      "patchVersion", "transformationHash", "transformationVersion", internal, deleted)
    SELECT g, h, ast, name, args, "patchVersion", "transformationHash", "transformationVersion", internal, deleted
    FROM json_to_recordset($1) AS x(g TEXT, h TEXT, ast JSONB, name TEXT, args JSON, "patchVersion" TEXT,
      "transformationHash" TEXT, "transformationVersion" TEXT, internal BOOL, deleted BOOL)
    ON CONFLICT ("clientGroupID", "queryHash") DO UPDATE SET "clientAST" = EXCLUDED."clientAST",
      "queryName" = EXCLUDED."queryName", "queryArgs" = EXCLUDED."queryArgs", "patchVersion" = EXCLUDED."patchVersion",
      "transformationHash" = EXCLUDED."transformationHash",
      "transformationVersion" = EXCLUDED."transformationVersion", deleted = EXCLUDED.deleted, "rowSetSignature" = NULL`,
  desires: `INSERT INTO ${cvr}.desires ("clientGroupID", "clientID", "queryHash", "patchVersion", deleted, "ttlMs",
      "inactivatedAtMs", ttl, "inactivatedAt")
    SELECT g, c, h, v, deleted, "ttlMs", "inactivatedAtMs", "ttlMs" * interval '1 millisecond',
      to_timestamp("inactivatedAtMs" / 1000)
    FROM json_to_recordset($1) AS x(g TEXT, v TEXT, c TEXT, h TEXT, deleted BOOL, "ttlMs" FLOAT8, "inactivatedAtMs" FLOAT8)
    ON CONFLICT ("clientGroupID", "clientID", "queryHash") DO UPDATE SET "patchVersion" = EXCLUDED."patchVersion",
      deleted = EXCLUDED.deleted, "ttlMs" = EXCLUDED."ttlMs", "inactivatedAtMs" = EXCLUDED."inactivatedAtMs",
      ttl = EXCLUDED.ttl, "inactivatedAt" = EXCLUDED."inactivatedAt"`,
  rowsVersion: `INSERT INTO ${cvr}."rowsVersion" ("clientGroupID", version)
    SELECT g, v FROM json_to_recordset($1) AS x(g TEXT, v TEXT)
    ON CONFLICT ("clientGroupID") DO UPDATE SET version = EXCLUDED.version`,
  rows: `INSERT INTO ${cvr}.rows AS r ("clientGroupID", schema, "table", "rowKey", "rowVersion", "patchVersion", "refCounts")
    SELECT g, '', t, k, rv, pv, rc
    FROM json_to_recordset($1) AS x(g TEXT, t TEXT, k JSONB, rv TEXT, pv TEXT, rc JSONB)
    ON CONFLICT ("clientGroupID", schema, "table", "rowKey") DO UPDATE SET
      "rowVersion" = CASE WHEN EXCLUDED."rowVersion" = '' THEN r."rowVersion" ELSE EXCLUDED."rowVersion" END,
      "patchVersion" = CASE WHEN EXCLUDED."rowVersion" = '' AND EXCLUDED."refCounts" IS NOT NULL
        THEN r."patchVersion" ELSE EXCLUDED."patchVersion" END,
      "refCounts" = EXCLUDED."refCounts"`,
});

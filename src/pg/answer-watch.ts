import type {Socket} from 'node:net';
import type pg from 'pg';

/** How often connections are looked at: one that has died is given up two to three times as long after its last byte. */
const LOOK_MS = 15_000;

/** A statement's connection as it was at the last look. */
interface Silence {
  /** Bytes read so far, while an answer is due and nothing is on the way; null: nothing is amiss. */
  readonly bytesRead: number | null;
  /** Since when its backend waits for us, if it does. */
  waitsSince: string | null;
}

/** `own` tells a pooler, whose numbers are not those of PostgreSQL. After a failover somebody else may have the number. */
const BACKENDS = `
  SELECT pg_backend_pid() AS own, pid,
    CASE WHEN wait_event IN ('ClientRead', 'ClientWrite') THEN wait_event || ' ' || state_change END AS "waitsSince"
  FROM (SELECT 1) one LEFT JOIN pg_stat_activity ON pid = ANY($1) AND usename = session_user AND datname = current_database()`;

interface Backend {
  readonly own: number;
  readonly pid: number | null;
  readonly waitsSince: string | null;
}

/** What of pg's client is not among its types. */
type Client = pg.Client & {readonly processID: number; readonly readyForQuery?: boolean};

/**
 * Gives up connections that are dead although nobody closed them, as behind a firewall that forgot them, or where the
 * other host is gone: with a statement on its way TCP would take a quarter of an hour for that. How long a statement takes
 * tells nothing, so a second connection asks PostgreSQL: it knows no such backend, or that waits for us while we wait for
 * it, at two looks between which nothing came (D-075).
 */
export class AnswerWatch {
  readonly #open: () => Promise<pg.Client>;
  readonly #everyMs: number;
  readonly #clients = new Map<Client, Silence>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  /** @param open opens the connection that asks: one for each look that is due, closed after it. */
  constructor(open: () => Promise<pg.Client>, everyMs = LOOK_MS) {
    this.#open = open;
    this.#everyMs = everyMs;
  }

  /** From when it is connected until it ends, or begins to stream, which has a watch of its own. */
  add(connected: pg.ClientBase): void {
    const client = connected as Client;
    this.#clients.set(client, {bytesRead: null, waitsSince: null});
    this.#timer ??= setInterval(() => this.#tick(), this.#everyMs).unref();
    const remove = () => {
      this.#clients.delete(client);
      if (this.#clients.size) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
    client.once('end', remove);
    client.connection.once('replicationStart', remove);
  }

  #tick(): void {
    if (this.#looking) return;
    const silent: Client[] = [];
    for (const [client, {bytesRead}] of this.#clients) {
      const now = silentAt(client);
      if (now !== null && now === bytesRead) silent.push(client);
      else this.#clients.set(client, {bytesRead: now, waitsSince: null});
    }
    if (!silent.length) return;
    this.#looking = true;
    // Who cannot ask knows nothing: perhaps the server is full, or starts again.
    void this.#look(silent)
      .catch(() => {})
      .finally(() => {
        this.#looking = false;
      });
  }

  async #look(silent: readonly Client[]): Promise<void> {
    const checker = (await this.#open()) as Client;
    try {
      const {rows} = await checker.query<Backend>(BACKENDS, [silent.map(({processID}) => processID)]);
      if (rows[0]?.own !== checker.processID) return;
      for (const client of silent) {
        const known = this.#clients.get(client);
        const backend = rows.find(({pid}) => pid === client.processID);
        // What came meanwhile may be the answer.
        if (!known || silentAt(client) !== known.bytesRead) continue;
        if (backend && (backend.waitsSince === null || backend.waitsSince !== known.waitsSince)) {
          known.waitsSince = backend.waitsSince;
          continue;
        }
        client.connection.stream.destroy(new DeadConnection());
        // It would hold its locks for as long as the server does not notice.
        if (backend) await checker.query('SELECT pg_terminate_backend($1)', [client.processID]);
      }
    } finally {
      void checker.end().catch(() => {});
    }
  }
}

/** With the code of TCP's own verdict. */
class DeadConnection extends Error {
  readonly code = 'ETIMEDOUT';

  constructor() {
    super('Connection terminated: PostgreSQL knows nothing of its statement (any more).');
  }
}

/** Bytes read, if an answer is due and it is neither we who have yet to read it, nor we who have yet to send. */
const silentAt = (client: Client): number | null => {
  const {bytesRead, readableLength, writableLength} = client.connection.stream as Socket;
  return client.readyForQuery || readableLength || writableLength ? null : bytesRead;
};

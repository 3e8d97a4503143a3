import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {pino} from 'pino';
import {expect} from 'vitest';
import {replicator} from '../../pipelines/replicator.ts';
import type {ZeroConfig} from '../../src/config/config.ts';
import {StageBoard} from '../../src/flow/stage.ts';
import {openReader} from '../../src/replica/open.ts';
import type {ReplicatorEvent} from '../../src/replication/events.ts';
import {testConfig} from './config.ts';
import type {TestDatabase} from './postgres.ts';
import {until} from './until.ts';

export interface Replicating {
  readonly config: ZeroConfig;
  readonly events: readonly ReplicatorEvent[];
  /** Everything logged so far, one line per message. */
  readonly logged: readonly string[];
  /** Reads the replica file as it is now. */
  read<T>(read: (db: Database) => T): T;
  rows(sql: string): unknown[][];
  /** Waits until everything that upstream has committed so far is applied, and that nothing failed meanwhile. */
  caughtUp(): Promise<void>;
  /** Waits until `read` gives `wanted`; fails with the difference. */
  becomes<T>(read: () => T, wanted: T): Promise<void>;
  /** Rebuilds and errors so far: none in a healthy run. */
  mishaps(): unknown[];
  /** Ends the stream; the file stays, and `restart` goes on from it. */
  stop(): Promise<void>;
  restart(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A replicator in this process, on a replica file of its own, streaming when the promise settles. `logged` takes what is
 * logged, for tests that look at it before.
 */
export const replicating = async (
  db: TestDatabase,
  overrides: Partial<ZeroConfig> = {},
  logged: string[] = [],
): Promise<Replicating> => {
  const dir = await mkdtemp(join(tmpdir(), 'zs-replicating-'));
  const config = testConfig(db, dir, overrides);
  const events: ReplicatorEvent[] = [];
  const errors: unknown[] = [];
  const note = (line: string) => {
    const {msg, err} = JSON.parse(line) as {msg: string; err?: {message: string}};
    logged.push(err ? `${msg}: ${err.message}` : msg);
  };
  const log = pino({level: 'info'}, {write: note});
  let subscription: {unsubscribe(): void} | null = null;

  const start = async () => {
    const before = events.length;
    subscription = replicator({config, log, board: new StageBoard()}).events.subscribe({
      next: event => events.push(event),
      error: error => errors.push(error),
    });
    await until(
      () => errors.length > 0 || events.slice(before).some(event => event.type === 'version-ready'),
      'the replicator streams',
    );
    expect(errors).toEqual([]);
  };
  const read = <T>(use: (replica: Database) => T): T => {
    const replica = openReader(config.replica.file);
    try {
      return use(replica);
    } finally {
      replica.close();
    }
  };
  const mishaps = () => [...errors, ...events.filter(event => event.type === 'recovery')];
  const stop = async () => {
    subscription?.unsubscribe();
    subscription = null;
    await until(
      async () =>
        (await db.query(`SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND active`))
          .rowCount === 0,
      'the slot is free',
    );
  };
  const becomes = async <T>(readNow: () => T, wanted: T) => {
    const now = () => {
      try {
        return existsSync(config.replica.file) ? readNow() : null;
      } catch {
        return null; // A table that is not there yet.
      }
    };
    const text = JSON.stringify(wanted);
    await until(
      () => JSON.stringify(now()) === text || mishaps().length > 0,
      'the replica is as wanted',
      20_000,
    ).catch(() => {});
    expect(mishaps()).toEqual([]);
    expect(readNow()).toEqual(wanted);
  };

  await start();
  return {
    config,
    events,
    logged,
    read,
    rows: sql => read(replica => replica.prepare(sql).raw().all() as unknown[][]),
    caughtUp: async () => {
      // A row of our own table marks the position: what is committed before it is applied before it.
      const mark = `mark${Date.now()}${Math.random()}`;
      const clients = `"${db.appID}_0".clients`;
      await db.query(`INSERT INTO ${clients} VALUES ('mark', $1, 0)`, [mark]);
      const seen = () =>
        read(replica =>
          replica.prepare(`SELECT 1 FROM "${db.appID}_0.clients" WHERE "clientID" = ?`).get(mark),
        );
      await until(() => mishaps().length > 0 || seen() !== undefined, 'the replica caught up');
      expect(mishaps()).toEqual([]);
    },
    becomes,
    mishaps,
    stop,
    restart: start,
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(dir, {recursive: true, force: true});
    },
  };
};

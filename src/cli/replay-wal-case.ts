import {statSync} from 'node:fs';
import {join} from 'node:path';
import {Subject, takeUntil, tap} from 'rxjs';
import {type replay, replayFixture} from '../../pipelines/replay.ts';
import {DaemonError} from '../errors.ts';
import type {Lsn} from '../pg/lsn.ts';
import {dumpReplica} from '../replay/dump-replica.ts';
import {firstReplica} from '../replay/first-replica.ts';
import {type Fixture, WAL_FILE, type WalCase} from '../replay/fixture.ts';
import {LineWriter} from '../replay/lines.ts';
import {logLine} from '../replay/log-lines.ts';
import {ReplayedTotals} from '../replay/replayed-totals.ts';
import {type Outcome, settle} from '../replay/settle.ts';
import {Stepper, type Terminal} from '../replay/stepper.ts';
import {WorkFolder} from '../replay/work-folder.ts';
import {deleteReplica} from '../replica/open.ts';

export interface WalCaseOptions {
  readonly bless: boolean;
  readonly until?: Lsn | undefined;
  /** Shows each transaction here. */
  readonly step?: Terminal | undefined;
  /** Leaves the replica in this file, for a look with any SQLite tool. */
  readonly keep?: string | undefined;
}

/**
 * Replays a recording into a new replica, without PostgreSQL, and compares replica and change log with what the fixture
 * expects. A fault of the chain is part of the result: it becomes the log's last line.
 * @throws FixtureUnusable if the fixture cannot be read.
 */
export const replayWalCase = async (fixture: Fixture<WalCase>, options: WalCaseOptions): Promise<Outcome> => {
  const {dir} = fixture;
  using work = new WorkFolder();
  const replicaFile = options.keep ?? work.file('replica.db');
  const outputs = {log: work.file('log.ndjson'), replica: work.file('replica.ndjson')};
  const stopped = new Subject<void>();
  let isStopped = false;
  const stop = () => {
    isStopped = true;
    stopped.next();
  };
  const stepper = options.step ? new Stepper(options.step, replicaFile, stop) : null;
  const totals = new ReplayedTotals(transaction => stepper?.show(transaction));
  const started = performance.now();
  try {
    if (options.keep) deleteReplica(options.keep);
    const db = await firstReplica(fixture, replicaFile);
    try {
      using log = new LineWriter(outputs.log);
      const fault = await run(
        replayFixture(fixture, db, {
          until: options.until,
          perTransaction: stepper !== null,
          beforeGroup: stepper ? () => stepper.next() : undefined,
        }).pipe(
          tap(batch => {
            for (const entry of batch.entries) log.write(logLine(entry));
            for (const transaction of batch.transactions) totals.add(transaction);
          }),
          takeUntil(stopped),
        ),
      );
      if (db.inTransaction) db.exec('ROLLBACK');
      if (fault) log.write(JSON.stringify({fault}));
      using dump = new LineWriter(outputs.replica);
      for (const line of dumpReplica(db)) dump.write(line);
    } finally {
      db.close();
    }
    const ms = performance.now() - started;
    const partial = options.until !== undefined || isStopped;
    const settled = await settle(
      dir,
      partial
        ? [{name: 'expect.log.ndjson', got: outputs.log, prefix: true}]
        : [
            {name: 'expect.log.ndjson', got: outputs.log},
            {name: 'expect.replica.ndjson', got: outputs.replica},
          ],
      {bless: options.bless && !partial},
    );
    return {...settled, summary: totals.text(partial), bytes: statSync(join(dir, WAL_FILE)).size, ms};
  } finally {
    stepper?.close();
  }
};

interface Fault {
  readonly code: string;
  readonly recovery: string;
  readonly message: string;
}

/** Subscribes and waits. Errors that the supervisor would answer are a result; others are thrown. */
const run = (chain: ReturnType<typeof replay>): Promise<Fault | null> =>
  new Promise((resolve, reject) =>
    chain.subscribe({
      error: (error: unknown) => {
        if (error instanceof DaemonError && error.code !== 'T001')
          resolve({code: error.code, recovery: error.recovery, message: error.message});
        else reject(error);
      },
      complete: () => resolve(null),
    }),
  );

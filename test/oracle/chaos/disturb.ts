import type pg from 'pg';
import type {BenchServer} from '../../bench/helpers/bench-server.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import type {Random} from '../../helpers/random.ts';
import type {Weather} from './visitor.ts';

const PERIOD_MS = 2500;

/** Ends connections to PostgreSQL all the time, and in turn restarts a view-syncer, restarts the replication-manager, and kills a sync worker. */
export const disturb = async (
  servers: {readonly manager: BenchServer; readonly viewSyncers: readonly BenchServer[]},
  db: pg.Client,
  random: Random,
  weather: Weather,
  told: (line: string) => void,
): Promise<void> => {
  const restart = async (server: BenchServer, what: string) => {
    told(what);
    await server.restart();
  };
  for (let n = 1; !weather.over; n++) {
    await sleep(PERIOD_MS);
    if (weather.quiet) continue;
    const viewSyncer = random.pick(servers.viewSyncers);
    switch (n % 12) {
      case 4:
        await restart(viewSyncer, `restart of ${viewSyncer.url}`);
        break;
      case 8:
        await restart(servers.manager, 'restart of the replication-manager');
        break;
      case 0:
        process.kill(random.pick(viewSyncer.pids('sync-worker')), 'SIGKILL');
        await restart(viewSyncer, `a killed sync worker, then a restart of ${viewSyncer.url}`);
        break;
      default:
        await db.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'zerostream%' AND random() < 0.2`,
        );
    }
  }
};

import type pg from 'pg';
import type {BenchServer} from '../../bench/helpers/bench-server.ts';
import {sleep} from '../../bench/helpers/wait.ts';
import type {Random} from '../../helpers/random.ts';
import type {Network} from './network.ts';
import type {Weather} from './visitor.ts';

const PERIOD_MS = 2500;

export interface Disturbed {
  readonly manager: BenchServer;
  /** Those that serve clients: the manager itself, if it is alone. */
  readonly serving: readonly BenchServer[];
  readonly network: Network;
  readonly db: pg.Client;
  /** Looks at what a server has said, which it forgets when it starts again. */
  readonly look: (server: BenchServer) => void;
}

/**
 * Lets the network misbehave and ends connections to PostgreSQL all the time, and in turn restarts a server of clients,
 * restarts the one that replicates, and kills a sync worker.
 */
export const disturb = async (
  {manager, serving, network, db, look}: Disturbed,
  random: Random,
  weather: Weather,
  told: (line: string) => void,
): Promise<void> => {
  const restart = async (server: BenchServer, what: string) => {
    told(what);
    look(server);
    await server.restart();
  };
  for (let n = 1; !weather.over; n++) {
    await sleep(random.int(2 * PERIOD_MS));
    if (weather.quiet) continue;
    const server = random.pick(serving);
    switch (n % 16) {
      case 4:
        await restart(server, `restart of ${server.url}`);
        break;
      case 8:
        await restart(manager, 'restart of the server that replicates');
        break;
      case 12:
        look(server);
        for (const pid of server.pids('sync-worker').slice(0, 1)) process.kill(pid, 'SIGKILL');
        told(`a killed sync worker, then a restart of ${server.url}`);
        await server.restart();
        break;
      case 2:
      case 6:
      case 10:
        await db.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'zerostream%' AND random() < 0.2`,
        );
        break;
      default:
        told(network.misbehave());
    }
  }
};

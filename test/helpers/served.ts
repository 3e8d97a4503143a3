import {openReader} from '../../src/replica/open.ts';
import {type Daemon, inspectionOf} from './daemon.ts';
import {until} from './until.ts';

/** Waits until a condition on the replica holds and every worker serves that version: a new query then sees it. */
export const untilServed = async (daemon: Daemon, sql: string, ...params: (string | number)[]) => {
  let version = '';
  await until(() => {
    const replica = openReader(daemon.replicaFile);
    try {
      if (!replica.prepare(sql).pluck().get(params)) return false;
      version = replica.prepare('SELECT stateVersion FROM "_zero.replicationState"').pluck().get() as string;
      return true;
    } finally {
      replica.close();
    }
  }, `the replica answers ${sql}`);
  await until(async () => {
    const {workers} = await inspectionOf(daemon);
    return workers.length > 0 && workers.every(worker => (worker.version ?? '') >= version);
  }, `${version} is served`);
};

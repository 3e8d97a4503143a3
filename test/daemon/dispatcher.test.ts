import {expect, test} from 'vitest';
import {type DispatchedChild, Dispatcher} from '../../src/daemon/dispatcher.ts';
import type {FromChild} from '../../src/daemon/ipc.ts';
import {silentLog} from '../../src/observe/log.ts';
import {testConfig} from '../helpers/config.ts';

/** A process that ends when it is let. */
class Started implements DispatchedChild {
  readonly name: string;
  readonly pid = 0;
  readonly exited: Promise<number>;
  readonly tell: (message: FromChild) => void;
  asked = false;
  end: () => void = () => {};

  constructor(name: string, tell: (message: FromChild) => void) {
    this.name = name;
    this.tell = tell;
    this.exited = new Promise(resolve => {
      this.end = () => resolve(0);
    });
  }

  send(): void {}

  inspect(): Promise<null> {
    return Promise.resolve(null);
  }

  async stop(): Promise<void> {
    this.asked = true;
    await this.exited;
  }
}

test('a replica that is given up again while workers are still leaving it gets one set of new workers', async () => {
  const started: Started[] = [];
  const config = testConfig({url: 'postgres://h/d', appID: 'a'}, '/nowhere', {numSyncWorkers: 2});
  new Dispatcher(config, silentLog, (script, index, _, tell) => {
    const child = new Started(`${script}-${index}`, tell);
    started.push(child);
    return child;
  });
  const [replicator, ...workers] = started;
  expect(workers.map(({name}) => name)).toEqual(['sync-worker-0', 'sync-worker-1']);
  const recovery: FromChild = {type: 'recovery', code: 'R001', reason: 'It cannot go on.'};
  replicator!.tell(recovery);
  replicator!.tell(recovery);
  expect(workers.map(({asked}) => asked)).toEqual([true, true]);
  for (const worker of workers) worker.end();
  await new Promise(resolve => setImmediate(resolve));
  expect(started.slice(3).map(({name}) => name)).toEqual(['sync-worker-0', 'sync-worker-1']);
});

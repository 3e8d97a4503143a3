import {once} from 'node:events';
import type {AddressInfo} from 'node:net';
import {expect, test} from 'vitest';
import {createHttpServer} from '../../src/daemon/http-server.ts';
import {silentLog} from '../../src/observe/log.ts';

test('a request that fails is in the log, as its answer says', async () => {
  const logged: unknown[] = [];
  const fault = new Error('a worker does not answer');
  const server = createHttpServer({
    config: {adminPassword: undefined, development: true},
    log: Object.assign(Object.create(silentLog), {
      error: (...line: unknown[]) => void logged.push(line),
    }),
    isReady: () => true,
    inspect: () => Promise.reject(fault),
    statz: () => Promise.reject(fault),
    upgrade: () => {},
    record: () => {},
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics?secret=1`);
  expect(response.status).toBe(500);
  expect(await response.text()).toBe('Internal error; see the server log.');
  expect(logged).toEqual([[{err: fault, path: '/metrics'}, 'a request failed']]);
  server.close();
});

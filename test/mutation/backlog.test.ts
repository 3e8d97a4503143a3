import {expect, test} from 'vitest';
import {Backlog} from '../../src/mutation/backlog.ts';
import type {ClientConnection} from '../../src/sync/types.ts';

test('a connection over the mark waits until half is done, and no other does', async () => {
  const [busy, other] = [{}, {}] as [ClientConnection, ClientConnection];
  const backlog = new Backlog(10);
  for (let i = 0; i < 9; i++) backlog.enter(busy);
  await backlog.room(busy);
  backlog.enter(busy);
  await backlog.room(other);
  let room = false;
  const waiting = backlog.room(busy).then(() => {
    room = true;
  });
  backlog.leave(busy, 4);
  await Promise.resolve();
  expect(room).toBe(false);
  backlog.leave(busy);
  await waiting;
  expect(room).toBe(true);
  backlog.leave(busy, 5);
  await backlog.room(busy);
});

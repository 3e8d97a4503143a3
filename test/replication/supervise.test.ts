import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {defer, finalize, of, Subject, throwError} from 'rxjs';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {supervise} from '../../pipelines/supervise.ts';
import {SlotUnusable, UpstreamUnreachable} from '../../src/errors.ts';
import {StageBoard} from '../../src/flow/stage.ts';
import {silentLog} from '../../src/observe/log.ts';
import type {ReplicatorEvent} from '../../src/replication/events.ts';
import {ReplicatorStatus} from '../../src/replication/status.ts';

beforeEach(() => {
  vi.useFakeTimers({loopLimit: 100_000});
});
afterEach(() => {
  vi.useRealTimers();
});

const EVENT: ReplicatorEvent = {type: 'checkpointed'};

/** Supervises a stream that fails with each of the errors, and then emits. */
const superviseFaults = async (faults: readonly Error[]) => {
  const left = faults.values();
  const heard: ReplicatorEvent[] = [];
  let ended: unknown = null;
  supervise({
    log: silentLog,
    status: new ReplicatorStatus('/nowhere/replica.db', new StageBoard()),
    file: '/nowhere/replica.db',
    stream: () =>
      defer(() => {
        const {value} = left.next();
        return value ? throwError(() => value) : of(EVENT);
      }),
    rebuilds: true,
    waitsOut: () => true,
  }).subscribe({
    next: event => heard.push(event),
    error: error => {
      ended = error;
    },
  });
  await vi.runAllTimersAsync();
  return {heard, ended};
};

test('what comes after days without PostgreSQL comes through', async () => {
  const days = Array.from({length: 20_000}, () => new UpstreamUnreachable('It is away.'));
  expect(await superviseFaults(days)).toEqual({heard: [EVENT], ended: null});
});

test('each rebuild is told of before it begins; the second in a row after a pause', async () => {
  const faults = Array.from({length: 3}, () => new SlotUnusable('It is gone.'));
  const recovery = {type: 'recovery', code: faults[0]!.code, reason: 'It is gone.'};
  expect(await superviseFaults(faults)).toEqual({
    heard: [recovery, recovery, recovery, EVENT],
    ended: null,
  });
});

test('what cannot be recovered from ends it', async () => {
  const error = new TypeError('a bug');
  expect(await superviseFaults([new UpstreamUnreachable('It is away.'), error])).toEqual({
    heard: [],
    ended: error,
  });
});

test('the replica is removed when the stream that had it open is gone, and before the next one begins', () => {
  const dir = mkdtempSync(join(tmpdir(), 'zs-supervise-'));
  const file = join(dir, 'replica.db');
  writeFileSync(file, '');
  const seen: [what: string, there: boolean][] = [];
  const see = (what: string) => seen.push([what, existsSync(file)]);
  const fault = new Subject<never>();
  supervise({
    log: silentLog,
    status: new ReplicatorStatus(file, new StageBoard()),
    file,
    stream: () =>
      defer(() => {
        see('begins');
        return fault.pipe(finalize(() => see('ends')));
      }),
    rebuilds: true,
    waitsOut: () => true,
  }).subscribe();
  fault.error(new SlotUnusable('It is gone.'));
  expect(seen.slice(0, 3)).toEqual([
    ['begins', true],
    ['ends', true],
    ['begins', false],
  ]);
  rmSync(dir, {recursive: true});
});

import {existsSync} from 'node:fs';
import {createServer, type Server} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {join} from 'node:path';
import {BehaviorSubject} from 'rxjs';
import {startSyncWorker} from '../../pipelines/sync-worker.ts';
import {parseConfig} from '../config/parse-config.ts';
import {plainRequest} from '../daemon/plain-request.ts';
import {StageBoard} from '../flow/stage.ts';
import {silentLog} from '../observe/log.ts';
import {firstReplica} from '../replay/first-replica.ts';
import type {Fixture, SessionCase} from '../replay/fixture.ts';
import {LineWriter, readLines} from '../replay/lines.ts';
import {SessionClient} from '../replay/session-client.ts';
import {readSession, type SessionStep} from '../replay/session-script.ts';
import {type Outcome, settle} from '../replay/settle.ts';
import {WorkFolder} from '../replay/work-folder.ts';
import {readReplicaState} from '../replica/sync-context.ts';
import type {VersionReady} from '../sync/types.ts';
import {createScratchDatabase} from './scratch-database.ts';
import {WalSteps} from './wal-steps.ts';

const EXPECTED = 'expect.server.ndjson';
/** A step is over when nothing more has come for this long. */
const QUIET_MS = 150;
/** Longest wait for what is expected of a step. */
const PATIENCE_MS = 10_000;

/**
 * Replays a conversation: a sync worker serves the recording's replica to clients that speak as they did; what they are
 * sent is compared. View records go into a database of their own, made in the given PostgreSQL and dropped.
 * @throws FixtureUnusable if the fixture cannot be read.
 */
export const replaySessionCase = async (
  fixture: Fixture<SessionCase>,
  {bless, postgres}: {readonly bless: boolean; readonly postgres: string},
): Promise<Outcome> => {
  const started = performance.now();
  using work = new WorkFolder();
  const script = await readSession(fixture.dir);
  const expected = await expectedPerStep(join(fixture.dir, EXPECTED));
  const database = await createScratchDatabase(postgres);
  try {
    const got = work.file(EXPECTED);
    using out = new LineWriter(got);
    await converse(fixture, work.file('replica.db'), database.url, script, expected, out);
    out.flush();
    const settled = await settle(fixture.dir, [{name: EXPECTED, got}], {bless});
    return {...settled, summary: `${script.length} steps`, bytes: out.bytes, ms: performance.now() - started};
  } finally {
    await database.drop();
  }
};

const converse = async (
  fixture: Fixture<SessionCase>,
  replicaFile: string,
  databaseUrl: string,
  script: readonly SessionStep[],
  expected: ReadonlyMap<string, number>,
  out: LineWriter,
): Promise<void> => {
  const db = await firstReplica(fixture, replicaFile);
  const {stateVersion} = readReplicaState(db);
  const versions = new BehaviorSubject<VersionReady>({
    version: stateVersion,
    upstreamCommitTimeMs: null,
    readyTimeMs: Date.now(),
  });
  const wal = new WalSteps(db, fixture, ready => versions.next(ready));
  const worker = await startSyncWorker({
    config: parseConfig([], {
      NODE_ENV: 'development',
      ZERO_UPSTREAM_DB: databaseUrl,
      ZERO_APP_ID: fixture.case.appID,
      ZERO_REPLICA_FILE: replicaFile,
      ZERO_TASK_ID: 'fixture',
    }).config,
    workerIndex: 0,
    log: silentLog,
    board: new StageBoard(),
    versions,
  });
  const server = createServer();
  server.on('upgrade', (request, socket, head) =>
    worker.accept(plainRequest(request), socket as Socket, head),
  );
  const port = await listen(server);
  const clients = new Map<string, SessionClient>();
  const clientOf = (name: string): SessionClient => {
    const client = clients.get(name) ?? new SessionClient(name);
    clients.set(name, client);
    return client;
  };
  let patient = true;
  try {
    for (const [i, step] of script.entries()) {
      switch (step.op) {
        case 'connect': {
          const client = clientOf(step.client);
          await client.connect(port, {
            group: step.group,
            cookie: step.cookie === 'last' ? client.cookie : null,
            init: step.init,
          });
          break;
        }
        case 'send':
          clientOf(step.client).send(step.message);
          break;
        case 'close':
          clientOf(step.client).close();
          break;
        case 'transaction':
          await wal.next();
      }
      // Once something expected has not come, waiting for the rest as well tells nothing more.
      const came = await quiet(clients, name => expected.get(`${i} ${name}`) ?? 0, patient ? PATIENCE_MS : 0);
      patient &&= came;
      for (const [name, client] of [...clients].sort(([a], [b]) => (a < b ? -1 : 1)))
        client.received
          .splice(0)
          .forEach((message, nth) =>
            out.write(`{"step":${i},"client":${JSON.stringify(name)},"nth":${nth},"message":${message}}`),
          );
    }
  } finally {
    for (const client of clients.values()) client.close();
    await worker.stop('The replay is over.');
    wal.close();
    server.close();
    server.closeAllConnections();
    db.close();
  }
};

/** Waits until every client has as many messages as are expected, and then until no more come. False: too few came. */
const quiet = async (
  clients: ReadonlyMap<string, SessionClient>,
  wanted: (name: string) => number,
  patienceMs: number,
): Promise<boolean> => {
  const deadline = performance.now() + patienceMs;
  let count = -1;
  let since = performance.now();
  for (;;) {
    let now = 0;
    let complete = true;
    for (const [name, {received}] of clients) {
      now += received.length;
      complete &&= received.length >= wanted(name);
    }
    if (now !== count) {
      count = now;
      since = performance.now();
    }
    if (performance.now() - since > QUIET_MS && (complete || performance.now() > deadline)) return complete;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
};

const expectedPerStep = async (file: string): Promise<Map<string, number>> => {
  const counts = new Map<string, number>();
  if (!existsSync(file)) return counts;
  for await (const text of readLines(file)) {
    const [, step, client] = /^\{"step":(\d+),"client":"([^"]*)"/.exec(text) ?? [];
    counts.set(`${step} ${client}`, (counts.get(`${step} ${client}`) ?? 0) + 1);
  }
  return counts;
};

const listen = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

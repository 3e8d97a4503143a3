import {createHash} from 'node:crypto';
import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {ZeroConfig} from '../config/config.ts';
import type {DaemonInspection, ReplicatorInspection, WorkerInspection} from '../observe/inspection.ts';
import type {Log} from '../observe/log.ts';
import type {RecordRequest} from '../replay/record-protocol.ts';
import {clientGroupOfUrl} from '../sync/handshake.ts';
import type {VersionReady} from '../sync/types.ts';
import {Child} from './children.ts';
import {type FromChild, usage} from './ipc.ts';
import {plainRequest} from './plain-request.ts';
import {removeSocket} from './version-channel.ts';

const STOP_GRACE_MS = 10_000;
/** Within that, clients leave no faster than another server can take them up. */
const HAND_OVER_MS = 6000;
/** What a connection was for, in a message about it. */
const PURPOSE = / \((?:view records|[a-z-]+)\)(?=: )/;

/** What the dispatcher asks of a child process. */
export type DispatchedChild = Pick<Child, 'name' | 'pid' | 'exited' | 'send' | 'inspect' | 'stop'>;
export type StartChild = (...args: ConstructorParameters<typeof Child>) => DispatchedChild;

/**
 * Owns the child processes: one replicator and N sync workers. Passes versions on, hands upgraded sockets to the worker
 * of their client group, and ends with the first child that ends by itself.
 */
export class Dispatcher {
  /** Resolves when there is a replica and every worker, of which a replication-manager has none, has its first snapshot. */
  readonly ready: Promise<void>;
  /** Resolves with the exit code when a child has failed; never before. */
  readonly failed: Promise<number>;
  readonly #config: ZeroConfig;
  readonly #log: Log;
  readonly #startedAtMs = Date.now();
  readonly #start: StartChild;
  readonly #replicator: DispatchedChild;
  #workers: DispatchedChild[] = [];
  #latest: VersionReady | null = null;
  /** Where workers hear of versions; null: through here. */
  #versionsAt: string | null = null;
  #stopping = false;
  /** Faults that were told, and the processes that had them. */
  readonly #reported = new Set<string>();
  /** Workers of an earlier replica are ending. */
  #restarting = false;
  #fail: (code: number) => void = () => {};
  #becomeReady: () => void = () => {};
  #readyWorkers = 0;

  constructor(config: ZeroConfig, log: Log, start: StartChild = (...child) => new Child(...child)) {
    this.#start = start;
    this.#config = config;
    this.#log = log;
    this.failed = new Promise(resolve => {
      this.#fail = resolve;
    });
    this.ready = new Promise(resolve => {
      this.#becomeReady = resolve;
    });
    this.#replicator = this.#watch(start('replicator', 0, config, message => this.#fromReplicator(message)));
    this.#startWorkers();
  }

  get isReady(): boolean {
    return this.#latest !== null && this.#readyWorkers >= this.#config.numSyncWorkers && !this.#stopping;
  }

  /** Hands an upgrade to the worker of its client group; one client group is always at one worker. */
  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const group = clientGroupOfUrl(request.url ?? '') ?? '';
    const digest = createHash('sha1').update(`${this.#config.taskID}/${group}`).digest();
    const worker = this.#workers[digest.readUInt32BE(0) % this.#workers.length];
    if (!worker) return void socket.destroy();
    worker.send({type: 'upgrade', request: plainRequest(request), head: head.toString('base64')}, socket);
  }

  /** Hands the connection of a recorder to the process that has the stream, or to that which serves the clients. */
  record(socket: Socket, request: RecordRequest): void {
    const process = request ? this.#workers[request.worker] : this.#replicator;
    if (process) process.send({type: 'record', clients: request}, socket);
    else socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
  }

  async inspect(serverVersion: string): Promise<DaemonInspection> {
    const [replicator, ...workers] = await Promise.all(
      [this.#replicator, ...this.#workers].map(async child => ({child, answer: await child.inspect()})),
    );
    const own = usage();
    return {
      taskID: this.#config.taskID,
      serverVersion,
      startedAtMs: this.#startedAtMs,
      atMs: Date.now(),
      replicator: (replicator?.answer?.body as ReplicatorInspection | undefined) ?? null,
      workers: workers.flatMap(({answer}) => (answer ? [answer.body as WorkerInspection] : [])),
      processes: [
        {name: 'dispatcher', pid: process.pid, ...own},
        ...[replicator!, ...workers].flatMap(({child, answer}) =>
          answer ? [{name: child.name, pid: child.pid, ...answer.usage}] : [],
        ),
      ],
    };
  }

  /** Clients are sent elsewhere first, then replication ends. */
  async stop(reason: string): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers.map(worker => worker.stop(reason, STOP_GRACE_MS, HAND_OVER_MS)));
    await this.#replicator.stop(reason, STOP_GRACE_MS);
    if (this.#versionsAt) removeSocket(this.#versionsAt);
  }

  #startWorkers(): void {
    this.#readyWorkers = 0;
    this.#workers = Array.from({length: this.#config.numSyncWorkers}, (_, index) =>
      this.#watch(
        this.#start('sync-worker', index, this.#config, message => {
          if (message.type === 'ready') {
            this.#readyWorkers++;
            if (this.isReady) this.#becomeReady();
          } else if (message.type === 'fatal') this.#report(`sync-worker-${index}`, message);
        }),
      ),
    );
    for (const worker of this.#workers) this.#tell(worker);
  }

  /** Tells a worker where versions come from. */
  #tell(worker: DispatchedChild): void {
    if (this.#versionsAt) worker.send({type: 'versions-at', path: this.#versionsAt});
    else if (this.#latest) worker.send({type: 'version-ready', ready: this.#latest});
  }

  #fromReplicator(message: FromChild): void {
    switch (message.type) {
      case 'version-ready':
        this.#latest = message.ready;
        for (const worker of this.#workers) if (!this.#versionsAt) this.#tell(worker);
        if (this.isReady) this.#becomeReady();
        return;
      case 'versions-at':
        this.#versionsAt = message.path;
        for (const worker of this.#workers) this.#tell(worker);
        return;
      case 'checkpointed':
        for (const worker of this.#workers) worker.send({type: 'refresh'});
        return;
      case 'recovery':
        // The replica's file is going to be another one: workers start anew on it, and clients come back by themselves.
        return void this.#restartWorkers(message.reason);
      case 'fatal':
        return this.#report('replicator', message);
    }
  }

  async #restartWorkers(reason: string): Promise<void> {
    const old = this.#workers;
    this.#latest = null;
    this.#workers = [];
    if (this.#restarting) return;
    this.#restarting = true;
    await Promise.all(old.map(worker => worker.stop(reason, STOP_GRACE_MS)));
    this.#restarting = false;
    if (!this.#stopping) this.#startWorkers();
  }

  /** Several processes may meet the same fault, each on a connection of its own: it is told once. */
  #report(name: string, {code, message}: {code: string | null; message: string}): void {
    const fault = `${code} ${message.replace(PURPOSE, '')}`;
    const known = this.#reported.has(fault);
    this.#reported.add(fault).add(name);
    if (!this.#stopping && !known) this.#log.error({process: name, ...(code ? {code} : {})}, message);
  }

  #watch(child: DispatchedChild): DispatchedChild {
    void child.exited.then(code => {
      if (this.#stopping || (child !== this.#replicator && !this.#workers.includes(child))) return;
      const level = this.#reported.has(child.name) ? 'info' : 'error';
      this.#log[level]({process: child.name, exitCode: code}, 'a process ended; the server stops');
      this.#fail(code || 1);
    });
    return child;
  }
}

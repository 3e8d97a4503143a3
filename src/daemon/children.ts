import {type ChildProcess, fork} from 'node:child_process';
import type {Socket} from 'node:net';
import {fileURLToPath} from 'node:url';
import type {ZeroConfig} from '../config/config.ts';
import {serializeConfig} from '../config/handed-config.ts';
import type {ReplicatorInspection, WorkerInspection} from '../observe/inspection.ts';
import {CONFIG_VARIABLE, type FromChild, type ToChild, type Usage, WORKER_INDEX_VARIABLE} from './ipc.ts';

/**
 * Eight times the default: Node 20 compiles large functions after some hundred calls, and that took half of a worker's
 * processor in its first minutes (D-076). Later versions wait longer by themselves, and have no such option.
 */
const PATIENT_COMPILER = process.versions.node.startsWith('20.') ? ['--interrupt-budget=540672'] : [];

/** A child process of the dispatcher. */
export class Child {
  readonly name: string;
  readonly exited: Promise<number>;
  readonly #process: ChildProcess;
  readonly #inspections = new Map<
    number,
    (answer: {body: ReplicatorInspection | WorkerInspection; usage: Usage}) => void
  >();
  #nextInspection = 1;
  alive = true;

  constructor(
    script: 'replicator' | 'sync-worker',
    index: number,
    config: ZeroConfig,
    onMessage: (message: FromChild) => void,
  ) {
    this.name = script === 'replicator' ? script : `${script}-${index}`;
    this.#process = fork(fileURLToPath(new URL(`./${script}.js`, import.meta.url)), [], {
      env: {
        ...process.env,
        [CONFIG_VARIABLE]: serializeConfig(config),
        [WORKER_INDEX_VARIABLE]: String(index),
      },
      // A large young generation keeps megabytes of garbage; a small one costs little here, since rows live in SQLite. Only
      // in the replicator a large transaction's parts outlive many of its collections, which copy them each time.
      // Source maps are read when a module is loaded, not when an error is printed: too dear for a start.
      execArgv: [
        `--max-semi-space-size=${script === 'replicator' ? 32 : 16}`,
        ...(script === 'sync-worker' ? PATIENT_COMPILER : []),
        ...(config.log.level === 'debug' ? ['--enable-source-maps'] : []),
      ],
      // Signals of the terminal reach the dispatcher alone, which ends its children in order.
      detached: false,
    });
    this.exited = new Promise(resolve =>
      this.#process.once('exit', (code, signal) => {
        this.alive = false;
        resolve(code ?? (signal === 'SIGKILL' ? 137 : 1));
      }),
    );
    this.#process.on('message', (message: FromChild) => {
      if (message.type === 'inspection') this.#inspections.get(message.id)?.(message);
      else onMessage(message);
    });
    // A message to a child that is just ending is of no use to it.
    this.#process.on('error', () => {});
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  send(message: ToChild, socket?: Socket): void {
    if (!this.alive || !this.#process.connected) {
      socket?.destroy();
      return;
    }
    if (socket) {
      this.#process.send(message, socket, {}, error => error && socket.destroy());
      this.#process.send({type: 'handed-over'} satisfies ToChild, () => {});
    } else this.#process.send(message, () => {});
  }

  /** null if the child does not answer in time. */
  async inspect(
    timeoutMs = 3000,
  ): Promise<{body: ReplicatorInspection | WorkerInspection; usage: Usage} | null> {
    const id = this.#nextInspection++;
    const answer = new Promise<{body: ReplicatorInspection | WorkerInspection; usage: Usage} | null>(
      resolve => {
        this.#inspections.set(id, resolve);
        setTimeout(() => resolve(null), timeoutMs).unref();
      },
    );
    this.send({type: 'inspect', id});
    return answer.finally(() => this.#inspections.delete(id));
  }

  /** Asks the child to end; kills it when it does not. */
  async stop(reason: string, graceMs: number, handOverMs = 0): Promise<void> {
    if (!this.alive) return;
    this.send({type: 'stop', reason, handOverMs});
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}

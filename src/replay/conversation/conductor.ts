import type pg from 'pg';
import {silentLog} from '../../observe/log.ts';
import {ProtocolError} from '../../protocol/error-body.ts';
import type {ClientGroup} from '../../sync/client-group.ts';
import {toProtocolError} from '../../sync/connection.ts';
import type {LineWriter} from '../lines.ts';
import type {Line} from './line.ts';
import {PacedGroup} from './paced-group.ts';
import {samePoke} from './same-poke.ts';
import {ScriptedConnection, withToken} from './scripted-connection.ts';
import {storeView} from './stored-view.ts';

/** Longest wait for a step that the recorded group took. */
const PATIENCE_MS = 10_000;

export interface ConductorDeps {
  readonly serving: {
    readonly groups: ReadonlyMap<string, ClientGroup>;
    groupOf(id: string): ClientGroup;
  };
  readonly cvrPool: pg.Pool;
  readonly shard: string;
  readonly out: LineWriter;
}

/**
 * Lets client groups do again what a recording says, line by line, and writes the recording anew with what they now tell
 * their clients.
 */
export class Conductor {
  readonly #deps: ConductorDeps;
  readonly #connections = new Map<number, ScriptedConnection>();
  /** Once something has not come, waiting for the rest as well tells nothing more. */
  #patienceMs = PATIENCE_MS;
  messages = 0;
  /** Pokes that told the same rows in another order. */
  reordered = 0;

  constructor(deps: ConductorDeps) {
    this.#deps = deps;
  }

  async play(line: Exclude<Line, {op: 'begin' | 'advance'}>, text: string): Promise<void> {
    if (line.op === 'sent') return this.#sent(line.on, text);
    if (line.op === 'prepare' || line.op === 'end') await this.#unexpected(line.group);
    if (line.op === 'disconnect') await this.#rest(this.#connections.get(line.on));
    this.#deps.out.write(text);
    if ('on' in line && line.op !== 'connect') return this.#fromClient(line);
    return this.#ofGroup(line as Exclude<typeof line, {op: 'disconnect'}>);
  }

  /** What nobody expected is written as well. */
  async finish(): Promise<void> {
    for (const connection of this.#connections.values()) await this.#rest(connection);
  }

  #fromClient(
    line: Line & {op: 'init' | 'changeDesired' | 'deleteClients' | 'updateAuth' | 'disconnect' | 'lost'},
  ): void {
    const connection = this.#connections.get(line.on);
    if (!connection) return;
    if (line.op === 'disconnect') {
      this.#connections.delete(line.on);
      return connection.close();
    }
    if (line.op === 'lost') {
      connection.witness = null;
      return;
    }
    const group = this.#deps.serving.groups.get(connection.clientGroupID);
    if (!group || connection.closed) return;
    if (line.op === 'updateAuth') connection.auth = withToken(line.auth);
    const done =
      line.op === 'init'
        ? group.init(connection, line.body)
        : line.op === 'changeDesired'
          ? group.changeDesired(connection, line.patch)
          : line.op === 'deleteClients'
            ? group.deleteClients(connection, line.body)
            : group.updateAuth(connection);
    done.catch(error => connection.fail(toProtocolError(error, silentLog, connection.clientID)));
  }

  async #ofGroup(
    line: Line & {
      op: 'connect' | 'stored' | 'load' | 'transformed' | 'retransform' | 'prepare' | 'fold' | 'poke' | 'end';
    },
  ): Promise<void> {
    const {serving, cvrPool, shard} = this.#deps;
    if (line.op === 'connect') {
      const connection = new ScriptedConnection(line, closed =>
        serving.groups.get(closed.clientGroupID)?.disconnected(closed),
      );
      this.#connections.set(line.on, connection);
      try {
        serving.groupOf(line.group).connect(connection);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        connection.close();
      }
      return;
    }
    if (line.op === 'stored') return storeView(cvrPool, shard, line);
    const group = serving.groups.get(line.group);
    if (!(group instanceof PacedGroup)) return;
    const {pace} = group;
    switch (line.op) {
      case 'load':
        return pace.load.open();
      case 'transformed':
        return pace.answers.open(line);
      case 'retransform':
        return group.retransform();
      case 'prepare':
        return group.startCycle(line.ms);
      case 'fold':
        pace.fold.open();
        return this.#within(pace.folded.pass());
      case 'poke':
        pace.poke.open();
        return this.#within(pace.poked.pass());
      case 'end':
        return group.end(line.error && new ProtocolError(line.error), line.ms);
    }
  }

  async #sent(on: number, expected: string): Promise<void> {
    const connection = this.#connections.get(on);
    const got = (await connection?.take(this.#patienceMs)) ?? null;
    this.messages++;
    if (got === null) {
      this.#patienceMs = 0;
      return;
    }
    const reordered = got !== expected && samePoke(got, expected);
    if (reordered) this.reordered++;
    this.#deps.out.write(reordered ? expected : got);
  }

  async #unexpected(group: string): Promise<void> {
    for (const connection of this.#connections.values())
      if (connection.clientGroupID === group) await this.#rest(connection);
  }

  async #rest(connection: ScriptedConnection | undefined): Promise<void> {
    for (let text = await connection?.take(0); typeof text === 'string'; text = await connection?.take(0))
      this.#deps.out.write(text);
  }

  async #within(step: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>(resolve => {
      timer = setTimeout(() => resolve('late'), this.#patienceMs);
    });
    if ((await Promise.race([step, late])) === 'late') this.#patienceMs = 0;
    clearTimeout(timer);
  }
}

import type {Socket} from 'node:net';
import type pg from 'pg';
import {filter, type Observable, type Subscription, take} from 'rxjs';
import type {Version} from '../../pg/lsn.ts';
import {ProtocolError} from '../../protocol/error-body.ts';
import type {ClientGroup, MakeGroup} from '../../sync/client-group.ts';
import type {ConversationRequest} from '../record-protocol.ts';
import {RecorderSocket} from '../recorder-socket.ts';
import type {Begin} from './line.ts';
import {Notes} from './notes.ts';
import {RecordedGroup} from './recorded-group.ts';
import {storedView} from './stored-view.ts';

/** What is recorded of a sync worker. */
export interface RecordedWorker {
  readonly serving: {
    readonly groups: ReadonlyMap<string, ClientGroup>;
    makeGroup: MakeGroup;
    /** Each version that the query graphs are moved to, before any group hears of it. */
    readonly advanced: Observable<Version>;
  };
  readonly registry: {readonly version: Version; dropIdle(): void};
  readonly cvrPool: pg.Pool;
  readonly shard: string;
  readonly facts: Omit<Begin, 'op' | 'version'>;
}

const recorded = new WeakSet<RecordedWorker['serving']>();

/**
 * Sends the conversation of a worker's clients down an upgraded socket, a line each (`Line`): that of every client group
 * that begins while it lasts. One at a time per worker.
 */
export const recordConversation = (
  socket: Socket,
  worker: RecordedWorker,
  {from, reconnect}: ConversationRequest,
): void => {
  const {serving, registry, cvrPool, shard} = worker;
  const recorder = new RecorderSocket(socket);
  if (recorded.has(serving)) return recorder.end('the clients are being recorded already');
  recorded.add(serving);
  const notes = new Notes(line => recorder.write(`${line}\n`));
  const made = serving.makeGroup;
  const begin = (version: Version): void => {
    notes.add({op: 'begin', version, ...worker.facts});
    serving.makeGroup = (id, deps, hooks) =>
      new RecordedGroup(id, {...deps, notes, stored: group => storedView(cvrPool, shard, group)}, hooks);
    following = serving.advanced.subscribe(to => notes.add({op: 'advance', to}));
    if (!reconnect) return;
    for (const group of [...serving.groups.values()]) group.end(comeBack());
    // Rows come in the order in which a graph met them: with graphs as new as a replay's, in the same.
    registry.dropIdle();
  };
  let following: Subscription | null = null;
  const waiting = serving.advanced
    .pipe(
      filter(version => version >= from),
      take(1),
    )
    .subscribe(begin);
  recorder.onEnd = () => {
    following?.unsubscribe();
    waiting.unsubscribe();
    notes.close();
    serving.makeGroup = made;
    recorded.delete(serving);
  };
  if (registry.version >= from) {
    waiting.unsubscribe();
    begin(registry.version);
  }
};

const comeBack = (): ProtocolError =>
  new ProtocolError({
    kind: 'Rehome',
    message: 'A recording begins: please connect again.',
    origin: 'zeroCache',
    minBackoffMs: 0,
    maxBackoffMs: 500,
  });

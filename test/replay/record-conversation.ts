import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import type pg from 'pg';
import {z} from 'zod';
import Database from '../../src/replica/sqlite.ts';
import {ANYONE} from '../e2e/permissions.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {type RawClient, rawClient} from '../helpers/raw-client.ts';
import {until} from '../helpers/until.ts';
import {startRecording} from './start-recording.ts';

/** A step of a conversation is over when clients have heard nothing for this long. */
const QUIET_MS = 300;

const step = z.discriminatedUnion('op', [
  /** Opens a connection. `cookie: "last"`: the last one this client was given, as after a lost connection. */
  z.object({
    op: z.literal('connect'),
    client: z.string(),
    group: z.string(),
    cookie: z.literal('last').optional(),
    /** Body of the handshake's `initConnection`. */
    init: z.record(z.string(), z.unknown()),
  }),
  z.object({op: z.literal('send'), client: z.string(), message: z.tuple([z.string(), z.unknown()])}),
  z.object({op: z.literal('close'), client: z.string()}),
  /** The next transaction of the scenario. */
  z.object({op: z.literal('transaction')}),
]);

export interface ConversationSource {
  readonly url: string;
  readonly client: pg.Client;
  readonly dir: string;
  readonly about: string;
  readonly changes: readonly string[];
  /** File of the steps, one a line. */
  readonly script: string;
}

/** Records a server of a scenario's database while clients speak with it. */
export const recordConversation = async (source: ConversationSource): Promise<void> => {
  const {url, client, dir, about} = source;
  await using daemon = await startDaemon({
    upstream: url,
    appID: 'fixture',
    env: {ZERO_APP_PUBLICATIONS: 'fixture'},
    // Hydrations that are never interrupted meet their rows in the order of a replay.
    args: ['--yield-threshold-ms', '10000'],
  });
  await deployAnyone(client, daemon.replicaFile);
  const end = await startRecording({server: daemon.url, out: dir, about, reconnectClients: true});
  const said = () => readFileSync(join(dir, 'conversation-0.ndjson'), 'utf8');
  await until(() => said().includes('"op":"begin"'), 'the worker is recorded');
  await converse(source, daemon.url);
  await end(client);
};

const deployAnyone = async (client: pg.Client, replicaFile: string) => {
  const tables = ['issue', 'comment'].map(name => [name, {row: {select: ANYONE}}]);
  await client.query('UPDATE fixture.permissions SET permissions = $1', [
    JSON.stringify({tables: Object.fromEntries(tables)}),
  ]);
  const replica = new Database(replicaFile, {readonly: true});
  const deployed = replica.prepare('SELECT permissions FROM "fixture.permissions"').pluck();
  await until(() => deployed.get() !== null, 'permissions are deployed');
  replica.close();
};

const converse = async ({script, client, changes}: ConversationSource, server: string) => {
  const clients = new Map<string, RawClient>();
  const transactions = changes.values();
  for (const line of readFileSync(script, 'utf8').trimEnd().split('\n')) {
    const next = step.parse(JSON.parse(line));
    if (next.op === 'transaction') await client.query(transactions.next().value!);
    else if (next.op === 'send') clients.get(next.client)!.send(next.message);
    else if (next.op === 'close') clients.get(next.client)!.socket.close();
    else
      clients.set(
        next.client,
        rawClient({
          server,
          clientGroupID: next.group,
          clientID: next.client,
          baseCookie: next.cookie ? lastCookie(clients.get(next.client)!) : null,
          init: next.init,
        }),
      );
    await quiet([...clients.values()]);
  }
  for (const {socket} of clients.values()) socket.close();
};

const lastCookie = ({received}: RawClient): string => {
  const end = received.findLast(([type]) => type === 'pokeEnd')!;
  return end[1]['cookie']!;
};

const quiet = async (clients: readonly RawClient[]): Promise<void> => {
  const heard = () =>
    clients.reduce((sum, {received, closed}) => sum + received.length + (closed === null ? 0 : 1), 0);
  for (let before = -1; before !== heard(); ) {
    before = heard();
    await new Promise(resolve => setTimeout(resolve, QUIET_MS));
  }
};

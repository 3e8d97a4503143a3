import {join} from 'node:path';
import {z} from 'zod';
import {readJsonLines} from './lines.ts';

export const CLIENT_FILE = 'client.ndjson';

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
  /** The next transaction of the recording reaches the replica. */
  z.object({op: z.literal('transaction')}),
]);

export type SessionStep = z.infer<typeof step>;

/** @throws FixtureUnusable naming the line. */
export const readSession = async (dir: string): Promise<SessionStep[]> => {
  const steps: SessionStep[] = [];
  for await (const read of readJsonLines(join(dir, CLIENT_FILE), value => step.parse(value)))
    steps.push(read);
  return steps;
};

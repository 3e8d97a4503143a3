import * as z from 'zod';
import type {Auth} from '../../auth/auth.ts';
import type {ErrorBody} from '../../protocol/error-body.ts';
import type {DeleteClients, InitConnection, UpQueryOp} from '../../protocol/up.ts';
import type {Transformed} from '../../sync/transform-queries.ts';

/** A credential without its token. */
export type RecordedAuth =
  | {readonly kind: 'none' | 'opaque'}
  | {readonly kind: 'jwt'; readonly claims: (Auth & {kind: 'jwt'})['claims']};

/** How the recorded worker was set up. */
export interface Begin {
  readonly op: 'begin';
  /** The version that it served. */
  readonly version: string;
  readonly appID: string;
  readonly shardNum: number;
  readonly usePlanner: boolean;
}

/** Who connected; later lines name it by `on`. */
export interface Connect {
  readonly op: 'connect';
  readonly on: number;
  readonly group: string;
  readonly client: string;
  readonly socket: string;
  readonly profile: string;
  readonly user: string | null;
  readonly cookie: string | null;
  readonly protocol: number;
  readonly auth: RecordedAuth;
}

/**
 * What happened at a worker, in order: what came from clients, what the groups did with it and when, and what clients were
 * sent. `fixtures/README.md` describes each. `on` is the number of a connection, `group` a client group's id.
 */
export type Line =
  | Begin
  /** All query graphs are at this version. */
  | {readonly op: 'advance'; readonly to: string}
  | Connect
  | {readonly op: 'init'; readonly on: number; readonly body: InitConnection}
  | {readonly op: 'changeDesired'; readonly on: number; readonly patch: readonly UpQueryOp[]}
  | {readonly op: 'deleteClients'; readonly on: number; readonly body: DeleteClients}
  | {readonly op: 'updateAuth'; readonly on: number; readonly auth: RecordedAuth}
  | {readonly op: 'disconnect'; readonly on: number}
  /** It reads too slowly to be sent anything: what it is sent from here on is not recorded. */
  | {readonly op: 'lost'; readonly on: number}
  /** The app's server is to be asked again what queries mean. */
  | {readonly op: 'retransform'; readonly group: string}
  /** What the app's server said, in the order in which it was asked; or how the request failed. */
  | {
      readonly op: 'transformed';
      readonly group: string;
      readonly results: readonly (readonly [hash: string, Transformed])[];
    }
  | {readonly op: 'transformed'; readonly group: string; readonly failed: ErrorBody}
  /** Rows of the view record, as JSON; then it is loaded. */
  | {
      readonly op: 'stored';
      readonly group: string;
      readonly table: string;
      readonly rows: readonly Record<string, unknown>[];
    }
  | {readonly op: 'load'; readonly group: string}
  /** The steps of a cycle (`pipelines/client-group.ts`); `ms` is the clock that its lifetimes are counted by. */
  | {readonly op: 'prepare'; readonly group: string; readonly ms: number}
  | {readonly op: 'fold'; readonly group: string}
  | {readonly op: 'poke'; readonly group: string}
  /** One poke, or another message that a group has for its clients. */
  | {readonly op: 'sent'; readonly on: number; readonly messages: readonly unknown[]}
  | {readonly op: 'end'; readonly group: string; readonly ms: number; readonly error: ErrorBody | null};

const on = z.number().int();
const group = z.string();
/** Written by ourselves from what was checked when it came. */
const trusted = <T>() => z.custom<T>(value => typeof value === 'object' && value !== null);
const auth = z.union([
  z.object({kind: z.enum(['none', 'opaque'])}),
  z.object({kind: z.literal('jwt'), claims: z.record(z.string(), z.unknown())}),
]);

const line: z.ZodType<Line> = z.union([
  z.object({
    op: z.literal('begin'),
    version: z.string(),
    appID: z.string(),
    shardNum: z.number(),
    usePlanner: z.boolean(),
  }),
  z.object({op: z.literal('advance'), to: z.string()}),
  z.object({
    op: z.literal('connect'),
    on,
    group,
    client: z.string(),
    socket: z.string(),
    profile: z.string(),
    user: z.string().nullable(),
    cookie: z.string().nullable(),
    protocol: z.number(),
    auth,
  }),
  z.object({op: z.literal('init'), on, body: trusted<InitConnection>()}),
  z.object({op: z.literal('changeDesired'), on, patch: trusted<readonly UpQueryOp[]>()}),
  z.object({op: z.literal('deleteClients'), on, body: trusted<DeleteClients>()}),
  z.object({op: z.literal('updateAuth'), on, auth}),
  z.object({op: z.enum(['disconnect', 'lost']), on}),
  z.object({op: z.enum(['retransform', 'load', 'fold', 'poke']), group}),
  z.object({
    op: z.literal('transformed'),
    group,
    results: z.array(z.tuple([z.string(), trusted<Transformed>()])),
  }),
  z.object({op: z.literal('transformed'), group, failed: trusted<ErrorBody>()}),
  z.object({
    op: z.literal('stored'),
    group,
    table: z.string(),
    rows: z.array(z.record(z.string(), z.unknown())),
  }),
  z.object({op: z.literal('prepare'), group, ms: z.number()}),
  z.object({op: z.literal('sent'), on, messages: z.array(z.unknown())}),
  z.object({op: z.literal('end'), group, ms: z.number(), error: trusted<ErrorBody>().nullable()}),
]);

/** @throws ZodError */
export const parseConversationLine = (value: unknown): Line => line.parse(value);

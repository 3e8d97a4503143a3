import * as z from 'zod';
import {astSchema, json} from './ast-schema.ts';
import {protocolError} from './error-body.ts';
import {idFault} from './identifier.ts';
import {type Interned, knownAsts, knownSchemas} from './interned.ts';
import {parseJson} from './parse-json.ts';
import type {InitConnection, Up} from './up.ts';

const text = z.string();
/** PostgreSQL has no text with NUL. */
const name = text.refine(value => !value.includes('\0'), 'expected a name without NUL');
const id = text.superRefine((value, context) => {
  const fault = idFault(value);
  if (fault) context.addIssue({code: 'custom', message: `not a name that can be kept: ${fault}`});
});
const record = z.record(text, text);
const deleteClients = z.object({
  clientIDs: z.array(text).optional(),
  clientGroupIDs: z.array(text).optional(),
});
const mutationID = z.object({id: z.number().int().nonnegative(), clientID: id});

/** Checked once for all clients that send the same. */
const interned = <T extends object>(known: Interned<T>, schema: z.ZodType<T>) =>
  z
    .custom<object>(value => typeof value === 'object' && value !== null, 'expected an object')
    .transform((value, context): T => {
      let issues: z.core.$ZodIssue[] = [];
      try {
        return known.of(value, () => {
          const result = schema.safeParse(value);
          if (result.success) return result.data;
          ({issues} = result.error);
          throw result.error;
        });
      } catch (error) {
        if (issues.length === 0) throw error;
        for (const {message, path} of issues) context.addIssue({code: 'custom', message, path: [...path]});
        return z.NEVER;
      }
    });

const queryOp = z.discriminatedUnion('op', [
  z.object({
    op: z.literal('put'),
    hash: id,
    ttl: z.number().optional(),
    ast: interned(knownAsts, astSchema).optional(),
    name: text.optional(),
    args: z.array(json).optional(),
  }),
  z.object({op: z.literal('del'), hash: text}),
  z.object({op: z.literal('clear')}),
]);

const clientSchema = z.object({
  tables: z.record(
    text,
    z.object({
      columns: z.record(text, z.object({type: z.enum(['string', 'number', 'boolean', 'null', 'json'])})),
      primaryKey: z.array(text).optional(),
    }),
  ),
});

const initConnection = z.object({
  desiredQueriesPatch: z.array(queryOp),
  clientSchema: interned(knownSchemas, clientSchema).optional(),
  deleted: deleteClients.optional(),
  userPushURL: text.optional(),
  userPushHeaders: record.optional(),
  userQueryURL: text.optional(),
  userQueryHeaders: record.optional(),
  activeClients: z.array(text).optional(),
  traceparent: text.optional(),
});

const crudOp = z.object({
  op: z.enum(['insert', 'upsert', 'update', 'delete']),
  tableName: name,
  primaryKey: z.array(name).min(1),
  value: z.record(name, json),
});

const mutationHead = {id: z.number().int().nonnegative(), clientID: id, name: text, timestamp: z.number()};
const mutation = z.discriminatedUnion('type', [
  z.object({type: z.literal('crud'), ...mutationHead, args: z.tuple([z.object({ops: z.array(crudOp)})])}),
  z.object({type: z.literal('custom'), ...mutationHead, args: z.array(json)}),
]);

const push = z.object({
  clientGroupID: text,
  mutations: z.array(mutation),
  pushVersion: z.number(),
  schemaVersion: z.number().optional(),
  timestamp: z.number(),
  requestID: text,
  auth: text.optional(),
  traceparent: text.optional(),
});

const inspect = z.discriminatedUnion('op', [
  z.object({op: z.literal('queries'), id: text, clientID: text.optional()}),
  z.object({op: z.literal('metrics'), id: text}),
  z.object({op: z.literal('version'), id: text}),
  z.object({op: z.literal('authenticate'), id: text, value: text}),
  z.object({
    op: z.literal('analyze-query'),
    id: text,
    ast: astSchema.optional(),
    value: astSchema.optional(),
    name: text.optional(),
    args: z.array(json).optional(),
    options: z
      .object({
        vendedRows: z.boolean().optional(),
        syncedRows: z.boolean().optional(),
        joinPlans: z.boolean().optional(),
      })
      .optional(),
  }),
]);

const BODIES = {
  initConnection,
  changeDesiredQueries: z.object({desiredQueriesPatch: z.array(queryOp)}),
  push,
  pull: z.object({clientGroupID: text, cookie: text.nullable(), requestID: text}),
  deleteClients,
  ping: z.object({}),
  updateAuth: z.object({auth: text}),
  ackMutationResponses: mutationID,
  closeConnection: z.array(z.unknown()),
  inspect,
} satisfies {[K in Up[0]]: z.ZodType};

/**
 * Parses a message of a client. Unknown fields are ignored, known ones must fit (protocol.md §2).
 * @throws ProtocolError `InvalidMessage`, naming the place but no value.
 */
export const parseUp = (frame: string): Up => {
  let message: unknown;
  try {
    message = parseJson(frame);
  } catch (error) {
    throw protocolError('InvalidMessage', 'The message is not JSON.', {cause: error});
  }
  if (!Array.isArray(message) || typeof message[0] !== 'string' || message.length < 2)
    throw protocolError('InvalidMessage', 'A message must be an array of a type and a body.');
  const type = message[0] as Up[0];
  if (!Object.hasOwn(BODIES, type))
    throw protocolError('InvalidMessage', `There is no message type ${JSON.stringify(type.slice(0, 40))}.`);
  return [type, validate<unknown>(type, BODIES[type], message[1])] as Up;
};

export const parseInitConnection = (message: unknown): InitConnection => {
  if (!Array.isArray(message) || message[0] !== 'initConnection')
    throw protocolError('InvalidMessage', 'The handshake carries something else than initConnection.');
  return validate('initConnection', initConnection, message[1]);
};

const validate = <T>(type: string, schema: z.ZodType<T>, body: unknown): T => {
  let result: z.ZodSafeParseResult<T>;
  try {
    result = schema.safeParse(body);
  } catch (error) {
    // Nesting so deep that the stack ends is nothing a client means.
    throw protocolError('InvalidMessage', `The body of ${type} is nested too deeply.`, {cause: error});
  }
  if (result.success) return result.data;
  const {path, message} = result.error.issues[0]!;
  throw protocolError(
    'InvalidMessage',
    `Invalid ${type}${path.length ? ` at ${path.join('.')}` : ''}: ${message}`,
  );
};

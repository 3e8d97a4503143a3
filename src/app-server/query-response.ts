import {z} from 'zod';
import {astSchema, json} from '../protocol/ast-schema.ts';

const entry = z.union([
  z.object({id: z.string(), name: z.string(), ast: astSchema}),
  z.object({
    error: z.enum(['app', 'parse']),
    id: z.string(),
    name: z.string(),
    message: z.string().optional(),
    details: json.optional(),
  }),
]);

const success = z.object({
  kind: z.literal('QueryResponse'),
  queries: z.array(entry),
  userID: z.string().nullable().optional(),
});

const failure = z.object({
  kind: z.literal('TransformFailed'),
  origin: z.enum(['server', 'zeroCache']).optional(),
  reason: z.enum(['database', 'parse', 'internal', 'http', 'timeout']),
  message: z.string().optional(),
  queryIDs: z.array(z.string()).optional(),
  details: json.optional(),
  status: z.number().optional(),
  bodyPreview: z.string().optional(),
});

const legacy = z.union([
  z.tuple([z.literal('transformed'), z.array(entry)]),
  z.tuple([z.literal('transformFailed'), failure.omit({kind: true})]),
]);

export type QueryEntry = z.infer<typeof entry>;
export type QuerySuccess = Omit<z.infer<typeof success>, 'kind'>;
export type QueryFailure = z.infer<typeof failure>;

/** What the app's server makes of named queries (mutations-auth.md §7); null if it is nothing of that kind. */
export const readQueryResponse = (
  answer: unknown,
): {readonly success: QuerySuccess} | {readonly failure: QueryFailure} | null => {
  const succeeded = success.safeParse(answer);
  if (succeeded.success) return {success: succeeded.data};
  const failed = failure.safeParse(answer);
  if (failed.success) return {failure: failed.data};
  const old = legacy.safeParse(answer);
  if (!old.success) return null;
  return old.data[0] === 'transformed'
    ? {success: {queries: old.data[1]}}
    : {failure: {kind: 'TransformFailed', ...old.data[1]}};
};

import {z} from 'zod';
import {json} from '../protocol/ast-schema.ts';

const mutationID = z.object({id: z.number(), clientID: z.string()});
const result = z.union([
  z.object({
    error: z.enum(['app', 'alreadyProcessed', 'oooMutation']),
    details: json.optional(),
    message: z.string().optional(),
  }),
  z.object({error: z.undefined().optional(), data: json.optional()}),
]);

const success = z.object({
  kind: z.literal('MutateResponse').optional(),
  mutations: z.array(z.object({id: mutationID, result})),
  userID: z.string().nullable().optional(),
});

const failure = z.object({
  kind: z.literal('PushFailed'),
  origin: z.enum(['server', 'zeroCache']).optional(),
  reason: z.enum([
    'database',
    'parse',
    'oooMutation',
    'unsupportedPushVersion',
    'internal',
    'http',
    'timeout',
  ]),
  message: z.string().optional(),
  mutationIDs: z.array(mutationID).optional(),
  details: json.optional(),
  status: z.number().optional(),
  bodyPreview: z.string().optional(),
});

const legacyFailure = z.object({
  error: z.enum(['unsupportedPushVersion', 'unsupportedSchemaVersion', 'http', 'zeroPusher']),
  mutationIDs: z.array(mutationID).optional(),
  status: z.number().optional(),
  details: json.optional(),
});

export type MutateSuccess = z.infer<typeof success>;
export type MutateFailure = z.infer<typeof failure>;

/** What the app's server says of a push (mutations-auth.md §6.4); null if it is nothing of that kind. */
export const readMutateResponse = (answer: unknown): MutateSuccess | MutateFailure | null => {
  const failed = failure.safeParse(answer);
  if (failed.success) return failed.data;
  const legacy = legacyFailure.safeParse(answer);
  if (legacy.success) return modernFailure(legacy.data);
  const succeeded = success.safeParse(answer);
  return succeeded.success ? succeeded.data : null;
};

export const isMutateFailure = (answer: MutateSuccess | MutateFailure): answer is MutateFailure =>
  answer.kind === 'PushFailed';

const modernFailure = ({
  error,
  mutationIDs,
  status,
  details,
}: z.infer<typeof legacyFailure>): MutateFailure => {
  const common = {kind: 'PushFailed' as const, mutationIDs, details};
  if (error === 'http')
    return {
      ...common,
      origin: 'zeroCache',
      reason: 'http',
      status: status ?? 500,
      message: 'The app server failed.',
    };
  if (error === 'zeroPusher')
    return {...common, origin: 'zeroCache', reason: 'internal', message: 'The app server failed.'};
  if (error === 'unsupportedPushVersion')
    return {
      ...common,
      origin: 'server',
      reason: 'unsupportedPushVersion',
      message: 'The app server does not support this push version.',
    };
  return {
    ...common,
    origin: 'server',
    reason: 'internal',
    message: 'The app server does not support this schema version.',
  };
};

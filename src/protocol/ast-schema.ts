import * as z from 'zod';
import type {AST, Condition, CorrelatedSubquery, JsonValue} from '../zql/ast.ts';

/** SQLite reads JSON up to 1,000 levels: one row of more would end every query that returns it. */
const MAX_DEPTH = 500;

const nestsWithin = (levels: number, value: unknown): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every(part => nestsWithin(levels - 1, part)));

/** Any JSON; it was parsed from text, so nothing else can be in it. */
export const json = z.custom<JsonValue>(
  value => value !== undefined && nestsWithin(MAX_DEPTH, value),
  `expected JSON of no more than ${MAX_DEPTH} levels`,
);

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const literal = z.object({type: z.literal('literal'), value: z.union([scalar, z.null(), z.array(scalar)])});
const column = z.object({type: z.literal('column'), name: z.string()});
const parameter = z.object({
  type: z.literal('static'),
  anchor: z.enum(['authData', 'preMutationRow']),
  field: z.union([z.string(), z.array(z.string())]),
});

const simple = z.object({
  type: z.literal('simple'),
  op: z.enum([
    '=',
    '!=',
    'IS',
    'IS NOT',
    '<',
    '>',
    '<=',
    '>=',
    'LIKE',
    'NOT LIKE',
    'ILIKE',
    'NOT ILIKE',
    'IN',
    'NOT IN',
  ]),
  left: z.discriminatedUnion('type', [literal, column, parameter]),
  right: z.discriminatedUnion('type', [literal, parameter]),
});

export const conditionSchema: z.ZodType<Condition> = z.lazy(() =>
  z.discriminatedUnion('type', [
    simple,
    z.object({type: z.literal('and'), conditions: z.array(conditionSchema)}),
    z.object({type: z.literal('or'), conditions: z.array(conditionSchema)}),
    z.object({
      type: z.literal('correlatedSubquery'),
      related: subquerySchema,
      op: z.enum(['EXISTS', 'NOT EXISTS']),
      flip: z.boolean().optional(),
      scalar: z.boolean().optional(),
    }),
  ]),
);

const fields = z.array(z.string()).min(1);

const subquerySchema: z.ZodType<CorrelatedSubquery> = z.lazy(() =>
  z.object({
    correlation: z.object({parentField: fields, childField: fields}),
    subquery: astSchema,
    hidden: z.boolean().optional(),
    system: z.enum(['permissions', 'client', 'test']).optional(),
  }),
);

export const astSchema: z.ZodType<AST> = z.lazy(() =>
  z.object({
    schema: z.string().optional(),
    table: z.string(),
    alias: z.string().optional(),
    where: conditionSchema.optional(),
    related: z.array(subquerySchema).optional(),
    start: z.object({row: z.record(z.string(), json), exclusive: z.boolean()}).optional(),
    limit: z.number().int().nonnegative().optional(),
    orderBy: z.array(z.tuple([z.string(), z.enum(['asc', 'desc'])])).optional(),
  }),
);

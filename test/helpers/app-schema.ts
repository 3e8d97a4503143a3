import {
  createBuilder,
  createSchema,
  defineMutators,
  defineMutatorWithType,
  defineQueries,
  defineQueryWithType,
  number,
  string,
  table,
} from '@rocicorp/zero';

/** An app that does everything through its own server: custom mutators and named queries. */
export const schema = createSchema({
  tables: [table('note').columns({id: string(), text: string(), rank: number()}).primaryKey('id')],
});

export const ddl = 'CREATE TABLE note (id text PRIMARY KEY, text text NOT NULL, rank int NOT NULL)';

/** Context of what runs in the app's server. */
export const SERVER = 'server';

const zql = createBuilder(schema);
const defineMutator = defineMutatorWithType<typeof schema>();
const defineQuery = defineQueryWithType<typeof schema>();

type Note = {readonly id: string; readonly text: string; readonly rank: number};

export const mutators = defineMutators({
  note: {
    add: defineMutator<Note>(async ({tx, args}) => {
      if (tx.location === 'server' && args.text === 'forbidden') throw new Error('Such notes are not taken.');
      await tx.mutate.note.insert(args);
    }),
  },
});

export const queries = defineQueries({
  /** The server shows less than the client would. */
  top: defineQuery(({args, ctx}: {args: {limit: number}; ctx: unknown}) => {
    if (ctx === SERVER && args.limit > 100) throw new Error('That many are not shown.');
    return zql.note.orderBy('rank', 'desc').limit(args.limit);
  }),
  byText: defineQuery(({args}: {args: {text: string}}) => zql.note.where('text', args.text)),
});

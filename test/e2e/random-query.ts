import type {Random} from '../helpers/random.ts';
import {schema, zql} from './schema.ts';

/** The builder's methods that this generator uses, loosely typed: it walks the schema at run time. */
export interface LooseQuery {
  where(field: string, op: string, value: unknown): LooseQuery;
  where(expression: (eb: LooseExpressions) => unknown): LooseQuery;
  whereExists(relationship: string, sub?: (q: LooseQuery) => LooseQuery): LooseQuery;
  related(relationship: string, sub?: (q: LooseQuery) => LooseQuery): LooseQuery;
  orderBy(field: string, direction: 'asc' | 'desc'): LooseQuery;
  start(row: Record<string, unknown>, options?: {inclusive: boolean}): LooseQuery;
  limit(n: number): LooseQuery;
}

interface LooseExpressions {
  cmp(field: string, op: string, value: unknown): unknown;
  or(...conditions: unknown[]): unknown;
  and(...conditions: unknown[]): unknown;
  exists(relationship: string, sub?: (q: LooseQuery) => LooseQuery): unknown;
}

type TableName = keyof typeof schema.tables;
type Column = {type: string; optional: boolean};

const columnsOf = (table: TableName): [string, Column][] =>
  Object.entries(schema.tables[table].columns as unknown as Record<string, Column>);

const relationshipsOf = (table: TableName): [string, readonly {destSchema: string}[]][] =>
  Object.entries(
    ((schema.relationships as Record<string, unknown>)[table] ?? {}) as Record<
      string,
      {destSchema: string}[]
    >,
  );

const ROOTS: readonly TableName[] = [
  'issue',
  'issue',
  'issue',
  'comment',
  'user',
  'project',
  'label',
  'issueLabel',
];

/** A random query over the whole grammar that the stock client accepts for ad-hoc queries. */
export const randomQuery = (random: Random): LooseQuery => {
  const table = random.pick(ROOTS);
  return refine(random, zql[table] as unknown as LooseQuery, table, 0, {ordered: true});
};

const refine = (
  random: Random,
  query: LooseQuery,
  table: TableName,
  depth: number,
  allow: {readonly ordered: boolean},
): LooseQuery => {
  let q = query;
  for (let i = random.int(3 - Math.min(depth, 2)); i > 0; i--) {
    if (random.chance(0.3)) q = q.where(eb => expression(random, eb, table, depth));
    else {
      const [field, op, value] = comparison(random, table);
      q = q.where(field, op, value);
    }
  }
  if (depth < 2 && random.chance(0.35)) {
    const found = relationship(random, table);
    if (found) q = q.whereExists(found.name, sub => refineExists(random, sub, found.table, depth + 1));
  }
  if (allow.ordered && random.chance(0.6)) {
    const fields = new Set(Array.from({length: 1 + random.int(2)}, () => random.pick(sortable(table))));
    for (const field of fields) q = q.orderBy(field, random.chance(0.5) ? 'asc' : 'desc');
  }
  if (allow.ordered && random.chance(0.45)) q = q.limit(1 + random.int(random.chance(0.5) ? 4 : 30));
  if (depth < 3 && random.chance(depth === 0 ? 0.6 : 0.3)) {
    const names = new Set<string>();
    for (let i = 1 + random.int(2); i > 0; i--) {
      const found = relationship(random, table);
      if (!found || names.has(found.name)) continue;
      names.add(found.name);
      // Ordering and limits on junction relations are refused by the builder.
      q = q.related(found.name, sub =>
        refine(random, sub, found.table, depth + 1, {ordered: !found.junction}),
      );
    }
  }
  return q;
};

const refineExists = (random: Random, query: LooseQuery, table: TableName, depth: number): LooseQuery => {
  let q = query;
  for (let i = random.int(2); i > 0; i--) {
    const [field, op, value] = comparison(random, table);
    q = q.where(field, op, value);
  }
  if (depth < 3 && random.chance(0.25)) {
    const found = relationship(random, table);
    if (found) q = q.whereExists(found.name, sub => refineExists(random, sub, found.table, depth + 1));
  }
  return q;
};

const expression = (random: Random, eb: LooseExpressions, table: TableName, depth: number): unknown => {
  const leaf = (): unknown => {
    if (depth < 2 && random.chance(0.3)) {
      const found = relationship(random, table);
      if (found) return eb.exists(found.name, sub => refineExists(random, sub, found.table, depth + 1));
    }
    return eb.cmp(...comparison(random, table));
  };
  const conditions = Array.from({length: 2 + random.int(2)}, leaf);
  return random.chance(0.7) ? eb.or(...conditions) : eb.and(...conditions);
};

const relationship = (random: Random, table: TableName) => {
  const all = relationshipsOf(table);
  if (!all.length) return undefined;
  const [name, hops] = random.pick(all);
  return {name, table: hops.at(-1)!.destSchema as TableName, junction: hops.length > 1};
};

const sortable = (table: TableName) =>
  columnsOf(table)
    .filter(([, column]) => column.type !== 'json')
    .map(([name]) => name);

const TEXTS = ['alpha alpha', 'Beta', 'todo', 'doing', 'done', 'i3', 'p1', 'u2', 'l1', 'zeta😀 alpha', 'o'];
const PATTERNS = ['%a%', '%A', 'a%', '%\\%%', '_lpha%', '%o', '%😀%', '%\\_x%', 'B%', '%Ω%'];

const comparison = (random: Random, table: TableName): [string, string, unknown] => {
  const fields = columnsOf(table).filter(([, column]) => column.type !== 'json');
  const [name, column] = random.pick(fields);
  if (column.optional && random.chance(0.25)) return [name, random.pick(['IS', 'IS NOT']), null];
  if (column.type === 'boolean') return [name, random.pick(['=', '!=', 'IS', 'IS NOT']), random.chance(0.5)];
  if (column.type === 'number') {
    const value = () =>
      name === 'updated'
        ? Date.UTC(2024, 0, 1 + random.int(9))
        : random.int(40) / (random.chance(0.3) ? 4 : 1);
    const integer = name === 'num' || name === 'age' || name === 'score' || name === 'n';
    const one = () => (integer ? Math.floor(value()) : value());
    if (random.chance(0.2)) return [name, random.pick(['IN', 'NOT IN']), [one(), one(), one()]];
    return [name, random.pick(['=', '!=', '<', '>', '<=', '>=']), one()];
  }
  if (/id$/i.test(name)) {
    const prefix =
      {
        userId: 'u',
        ownerId: 'u',
        creatorId: 'u',
        assigneeId: 'u',
        authorId: 'u',
        projectId: 'p',
        issueId: 'i',
        parentId: 'i',
        labelId: 'l',
      }[name] ?? (table === 'tick' ? 'tick' : table[0]!);
    const value = () => `${prefix}${random.int(12)}`;
    if (random.chance(0.3)) return [name, random.pick(['IN', 'NOT IN']), [value(), value(), value()]];
    return [name, random.pick(['=', '!=', '<', '>=']), value()];
  }
  if (random.chance(0.35))
    return [name, random.pick(['LIKE', 'NOT LIKE', 'ILIKE', 'NOT ILIKE']), random.pick(PATTERNS)];
  if (random.chance(0.2))
    return [name, random.pick(['IN', 'NOT IN']), [random.pick(TEXTS), random.pick(TEXTS)]];
  return [name, random.pick(['=', '!=', '<', '>', '<=', '>=']), random.pick(TEXTS)];
};

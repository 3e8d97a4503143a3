import fc from 'fast-check';
import type {AST, Bound, Condition, CorrelatedSubquery, JsonValue, Ordering} from '../../src/zql/ast.ts';
import type {TestChange, TestRow, TestTable} from '../helpers/test-replica.ts';

/**
 * Random cases as plain numbers, read modulo whatever there is to choose from: every genome means something, and
 * fast-check shrinks numbers towards zero and lists towards empty without breaking any reference.
 */
interface TableGenome {
  readonly key: number;
  readonly nullable: number;
  readonly indexes: readonly number[];
}

interface ChangeGenome {
  readonly kind: number;
  readonly table: number;
  readonly row: number;
  readonly values: readonly number[];
}

type ConditionGenome =
  | {readonly is: 'simple'; readonly column: number; readonly op: number; readonly values: readonly number[]}
  | {readonly is: 'and' | 'or'; readonly parts: readonly ConditionGenome[]}
  | {readonly is: 'exists'; readonly not: boolean; readonly hints: number; readonly child: ChildGenome};

interface ChildGenome {
  readonly table: number;
  readonly fields: readonly (readonly [number, number])[];
  readonly system: number;
  readonly node: NodeGenome;
}

interface NodeGenome {
  readonly where: ConditionGenome | null;
  readonly related: readonly ChildGenome[];
  readonly order: readonly (readonly [number, boolean])[];
  readonly limit: number | null;
  readonly start: {readonly values: readonly number[]; readonly exclusive: boolean} | null;
}

export interface Genome {
  readonly tables: readonly TableGenome[];
  readonly rows: readonly ChangeGenome[];
  readonly transactions: readonly {readonly changes: readonly ChangeGenome[]; readonly pause: boolean}[];
  readonly queries: readonly {readonly table: number; readonly node: NodeGenome}[];
}

export interface Case {
  readonly tables: readonly TestTable[];
  readonly rows: readonly TestChange[];
  /** `pause`: a registry that coalesces does not advance after this transaction. */
  readonly transactions: readonly {readonly changes: readonly TestChange[]; readonly pause: boolean}[];
  readonly queries: readonly AST[];
}

const n = fc.nat(1000);
const values = fc.array(n, {minLength: 1, maxLength: 9});

const change: fc.Arbitrary<ChangeGenome> = fc.record({kind: fc.nat(9), table: n, row: n, values});

const simple: fc.Arbitrary<ConditionGenome> = fc.record({
  is: fc.constant('simple' as const),
  column: n,
  op: n,
  values,
});

/** `depth`: how many levels of subqueries may follow; `nesting`: how many of and/or. */
const conditionAt = (depth: number, nesting: number): fc.Arbitrary<ConditionGenome> =>
  fc.oneof(
    {withCrossShrink: true},
    {weight: 3, arbitrary: simple},
    ...(nesting > 0
      ? [
          {
            weight: 2,
            arbitrary: fc.record({
              is: fc.constantFrom('and' as const, 'or' as const),
              parts: fc.array(conditionAt(depth, nesting - 1), {maxLength: 3}),
            }),
          },
        ]
      : []),
    ...(depth > 0
      ? [
          {
            weight: 3,
            arbitrary: fc.record({
              is: fc.constant('exists' as const),
              not: fc.boolean(),
              hints: n,
              child: childAt(depth - 1),
            }),
          },
        ]
      : []),
  );

const childAt = (depth: number): fc.Arbitrary<ChildGenome> =>
  fc.record({
    table: n,
    fields: fc.array(fc.tuple(n, n), {minLength: 1, maxLength: 2}),
    system: fc.nat(5),
    node: nodeAt(depth),
  });

const nodeAt = (depth: number): fc.Arbitrary<NodeGenome> =>
  fc.record({
    where: fc.option(conditionAt(depth, 2), {freq: 3}),
    related: depth > 0 ? fc.array(childAt(depth - 1), {maxLength: 2}) : fc.constant([]),
    order: fc.array(fc.tuple(n, fc.boolean()), {maxLength: 2}),
    limit: fc.option(fc.nat(4)),
    start: fc.option(fc.record({values, exclusive: fc.boolean()}), {freq: 1}),
  });

export const genome: fc.Arbitrary<Genome> = fc.record({
  tables: fc.array(fc.record({key: n, nullable: n, indexes: fc.array(n, {maxLength: 4})}), {
    minLength: 1,
    maxLength: 3,
  }),
  rows: fc.array(change, {maxLength: 30}),
  transactions: fc.array(
    fc.record({changes: fc.array(change, {minLength: 1, maxLength: 6}), pause: fc.boolean()}),
    {maxLength: 6},
  ),
  queries: fc.array(fc.record({table: n, node: nodeAt(3)}), {minLength: 1, maxLength: 3}),
});

const TEXTS = ['a', 'b', 'A', 'ab', '', 'ÄB', 'ß', '\u{1f600}', '\ufffd', 'a\nb', '%', '_x', '\\', 'Σας'];
const PATTERNS = ['%', 'a%', '_', '%b', '\\%', '\\_%', 'A_', 'äb', '%\\\\', '__', 'σΑ_', ''];
const DOMAINS: Readonly<Record<string, readonly JsonValue[]>> = {
  text: TEXTS,
  int4: [0, 1, 2, 3, -1],
  float8: [0, 0.5, 1, -2.25, 1e21, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  bool: [false, true],
  jsonb: [1, 'x', [1, null], {k: 'v'}, false],
};
/** Columns every table has, with their types; `id`, `k` may be the key. */
const COLUMNS = {id: 'text', k: 'int4', s: 'text', r: 'text', n: 'int4', f: 'float8', b: 'bool', j: 'jsonb'};
const NAMES = Object.keys(COLUMNS);
const COMPARABLE = NAMES.filter(name => name !== 'j');
const KEYS = [['id'], ['k', 'id'], ['id', 'b'], ['f'], ['id']];

const pick = <T>(items: readonly T[], i: number): T => items[i % items.length]!;
const typeOf = (column: string): string => COLUMNS[column as keyof typeof COLUMNS];

/** The case a genome stands for. */
export const interpret = (g: Genome): Case => {
  const tables = g.tables.map(tableOf);
  const state = new Map<string, Map<string, TestRow>>(tables.map(table => [table.name, new Map()]));
  const rows = g.rows.map(change => changeOf({...change, kind: 0}, tables, state)).filter(c => c !== null);
  const transactions = g.transactions.map(({changes, pause}) => ({
    changes: changes.flatMap(change => changeOf(change, tables, state) ?? []),
    pause,
  }));
  return {
    tables,
    rows,
    transactions,
    queries: g.queries.flatMap(query => sisters(astOf(query.node, query.table, tables, 'root'), query.table)),
  };
};

/** A query, sometimes with another that differs at the root only, so that they share what is below. */
const sisters = (ast: AST, choice: number): readonly AST[] => {
  const {where, start, ...rest} = ast;
  if (choice % 3 === 0) return [ast];
  if (choice % 3 === 1) return [ast, rest];
  const limit = ast.limit === undefined ? 2 : ast.limit + 1;
  return [ast, {...rest, ...(where && {where}), limit}];
};

const tableOf = ({key, nullable, indexes}: TableGenome, i: number): TestTable => {
  const own = pick(KEYS, key);
  return {
    name: `t${i}`,
    columns: Object.fromEntries(
      NAMES.map((name, bit) => [
        name,
        typeOf(name) + (own.includes(name) || !((nullable >> bit) & 1) ? '' : '?'),
      ]),
    ),
    key: own,
    indexes: indexes
      .map(index =>
        index % 2 ? [pick(COMPARABLE, index)] : [pick(COMPARABLE, index), pick(COMPARABLE, index >> 3)],
      )
      .filter(columns => new Set(columns).size === columns.length),
  };
};

const keyText = (table: TestTable, row: TestRow): string => JSON.stringify(table.key.map(name => row[name]));

/** `state` follows, so that updates and deletes meet rows that are there. */
const changeOf = (
  {kind, table: which, row: at, values}: ChangeGenome,
  tables: readonly TestTable[],
  state: Map<string, Map<string, TestRow>>,
): TestChange | null => {
  const table = pick(tables, which);
  const rows = state.get(table.name)!;
  if (kind === 9 && at % 4 === 0) {
    rows.clear();
    return {op: 'truncate', table: table.name};
  }
  const present = [...rows.values()];
  if (kind >= 3 && present.length) {
    const old = pick(present, at);
    if (kind >= 7) {
      rows.delete(keyText(table, old));
      return {
        op: 'delete',
        table: table.name,
        key: Object.fromEntries(table.key.map(name => [name, old[name]])),
      };
    }
    // A few columns change, the key stays.
    const row = {...old};
    values.forEach((value, i) => {
      const name = pick(NAMES, i + at);
      if (!table.key.includes(name) && value % 2) row[name] = wireValue(table, name, value >> 1);
    });
    rows.set(keyText(table, row), row);
    return {op: 'set', table: table.name, row};
  }
  const row = Object.fromEntries(
    NAMES.map((name, i) => [name, wireValue(table, name, pick(values, i) + i * at)]),
  );
  rows.set(keyText(table, row), row);
  return {op: 'set', table: table.name, row};
};

const wireValue = (table: TestTable, column: string, value: number): JsonValue => {
  const domain = DOMAINS[typeOf(column)]!;
  return table.columns[column]!.endsWith('?') && value % 4 === 1 ? null : pick(domain, value);
};

const astOf = (
  node: NodeGenome,
  which: number,
  tables: readonly TestTable[],
  role: 'root' | 'related' | 'exists',
  alias?: string,
): AST => {
  const table = pick(tables, which);
  const orderBy: Ordering = node.order.map(([column, ascending]) => [
    pick(COMPARABLE, column),
    ascending ? 'asc' : 'desc',
  ]);
  const start: Bound | undefined = node.start
    ? {
        row: Object.fromEntries(
          COMPARABLE.map((name, i) => [name, wireValue(table, name, pick(node.start!.values, i))]),
        ),
        exclusive: node.start.exclusive,
      }
    : undefined;
  return {
    table: table.name,
    ...(alias && {alias}),
    ...(node.where && {where: conditionOf(node.where, tables)}),
    ...(role !== 'exists' &&
      node.related.length && {
        related: node.related.map((child, i) => childOf(child, tables, 'related', `r${i}`)),
      }),
    ...(orderBy.length && {orderBy}),
    ...(node.limit !== null && {limit: node.limit}),
    ...(role !== 'exists' && start && {start}),
  };
};

const childOf = (
  {table, fields, system, node}: ChildGenome,
  tables: readonly TestTable[],
  role: 'related' | 'exists',
  alias: string,
): CorrelatedSubquery => {
  const pairs = fields.map(([parent, child]) => {
    const parentField = pick(COMPARABLE, parent);
    return [
      parentField,
      pick(
        COMPARABLE.filter(name => typeOf(name) === typeOf(parentField)),
        child,
      ),
    ] as const;
  });
  return {
    correlation: {parentField: pairs.map(([parent]) => parent), childField: pairs.map(([, child]) => child)},
    subquery: astOf(node, table, tables, role, alias),
    ...(system === 5 && {system: 'permissions'}),
  };
};

const pinKey = (child: CorrelatedSubquery, table: TestTable, value: number): CorrelatedSubquery => ({
  ...child,
  subquery: {
    ...child.subquery,
    where: {
      type: 'and',
      conditions: [
        ...table.key.map((name, i) => ({
          type: 'simple' as const,
          op: '=' as const,
          left: {type: 'column' as const, name},
          right: {
            type: 'literal' as const,
            value: pick(DOMAINS[typeOf(name)]! as readonly (string | number | boolean)[], value + i),
          },
        })),
        ...(child.subquery.where ? [child.subquery.where] : []),
      ],
    },
  },
});

const OPS = ['=', '!=', '<', '>', '<=', '>=', 'IN', 'NOT IN', 'IS', 'IS NOT'] as const;
const LIKES = ['LIKE', 'NOT LIKE', 'ILIKE', 'NOT ILIKE'] as const;

const conditionOf = (genome: ConditionGenome, tables: readonly TestTable[]): Condition => {
  switch (genome.is) {
    case 'and':
    case 'or':
      return {type: genome.is, conditions: genome.parts.map(part => conditionOf(part, tables))};
    case 'exists': {
      const child = childOf(genome.child, tables, 'exists', 'zsubq_x');
      // Otherwise hardly any subquery would name one row.
      const pinned =
        genome.hints % 6 === 1 ? pinKey(child, pick(tables, genome.child.table), genome.hints >> 3) : child;
      return {
        type: 'correlatedSubquery',
        op: genome.not ? 'NOT EXISTS' : 'EXISTS',
        related: pinned,
        ...(genome.hints % 5 === 1 && {flip: true}),
        ...(genome.hints % 5 === 2 && {flip: false}),
        ...(genome.hints % 3 === 1 && {scalar: true}),
      };
    }
    case 'simple': {
      const name = pick(COMPARABLE, genome.column);
      const type = typeOf(name);
      const domain = DOMAINS[type]! as readonly (string | number | boolean)[];
      const [first] = genome.values;
      const left = {type: 'column', name} as const;
      const op = pick(type === 'text' ? [...OPS, ...LIKES] : OPS, genome.op);
      if (op.endsWith('LIKE'))
        return {type: 'simple', op, left, right: {type: 'literal', value: pick(PATTERNS, first!)}};
      if (op === 'IN' || op === 'NOT IN')
        return {
          type: 'simple',
          op,
          left,
          right: {type: 'literal', value: genome.values.slice(1).map(value => pick(domain, value))},
        };
      return {
        type: 'simple',
        op,
        left,
        right: {type: 'literal', value: first! % 11 === 10 ? null : pick(domain, first!)},
      };
    }
  }
};

/** The query AST as it travels on the wire: server names throughout (protocol.md §5.1, zql.md §1.1). */
export interface AST {
  readonly schema?: string | undefined;
  readonly table: string;
  readonly alias?: string | undefined;
  readonly where?: Condition | undefined;
  readonly related?: readonly CorrelatedSubquery[] | undefined;
  readonly start?: Bound | undefined;
  readonly limit?: number | undefined;
  readonly orderBy?: Ordering | undefined;
}

export type Ordering = readonly (readonly [column: string, direction: 'asc' | 'desc'])[];

export interface Bound {
  readonly row: Readonly<Record<string, JsonValue>>;
  readonly exclusive: boolean;
}

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | {readonly [key: string]: JsonValue};

export type Condition = SimpleCondition | Conjunction | Disjunction | ExistsCondition;

export interface SimpleCondition {
  readonly type: 'simple';
  readonly op: SimpleOperator;
  readonly left: LiteralValue | ColumnReference | StaticParameter;
  readonly right: LiteralValue | StaticParameter;
}

export interface Conjunction {
  readonly type: 'and';
  readonly conditions: readonly Condition[];
}

export interface Disjunction {
  readonly type: 'or';
  readonly conditions: readonly Condition[];
}

export interface ExistsCondition {
  readonly type: 'correlatedSubquery';
  readonly related: CorrelatedSubquery;
  readonly op: 'EXISTS' | 'NOT EXISTS';
  readonly flip?: boolean | undefined;
  readonly scalar?: boolean | undefined;
}

export interface CorrelatedSubquery {
  readonly correlation: {readonly parentField: readonly string[]; readonly childField: readonly string[]};
  readonly subquery: AST;
  readonly hidden?: boolean | undefined;
  /** Rows below a `permissions` subquery are never synced. */
  readonly system?: 'permissions' | 'client' | 'test' | undefined;
}

export type SimpleOperator =
  | '='
  | '!='
  | 'IS'
  | 'IS NOT'
  | '<'
  | '>'
  | '<='
  | '>='
  | 'LIKE'
  | 'NOT LIKE'
  | 'ILIKE'
  | 'NOT ILIKE'
  | 'IN'
  | 'NOT IN';

export interface LiteralValue {
  readonly type: 'literal';
  readonly value: string | number | boolean | null | readonly (string | number | boolean)[];
}

export interface ColumnReference {
  readonly type: 'column';
  readonly name: string;
}

/** Bound to a literal before a graph is built; a missing anchor or field binds to null. */
export interface StaticParameter {
  readonly type: 'static';
  readonly anchor: 'authData' | 'preMutationRow';
  readonly field: string | readonly string[];
}

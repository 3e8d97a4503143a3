import type {QueryRecord} from '../cvr/types.ts';
import type {ErroredQuery} from '../protocol/down.ts';
import type {AST, JsonValue} from '../zql/ast.ts';
import type {ClientConnection} from './types.ts';

/** What is to be run for a desired query, or why it cannot be: then it is given up, and its clients are told. */
export type Transformed = {readonly ast: AST} | {readonly error: ErroredQuery};

/**
 * Turns desired queries into what is run: permissions added and parameters bound for client queries, the app's endpoint
 * asked for named ones. By query hash; a query that is absent from the result stays desired and un-got.
 * @throws ProtocolError if the whole call failed: the connection gets it, and graphs that run go on.
 */
export type TransformQueries = (
  queries: readonly QueryRecord[],
  connection: ClientConnection,
) => Promise<ReadonlyMap<string, Transformed>>;

/** A query by its name, as clients ask for it. */
export interface NamedQuery {
  /** The client's id of it. */
  readonly hash: string;
  readonly name: string;
  readonly args: readonly JsonValue[];
}

/** Those of the queries that have a name instead of an AST. */
export const namedQueriesOf = (queries: Iterable<QueryRecord>): NamedQuery[] => {
  const named: NamedQuery[] = [];
  for (const {hash, ast, name, args} of queries)
    if (!ast && name !== null) named.push({hash, name, args: args ?? []});
  return named;
};

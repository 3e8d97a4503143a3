import type {QueryRecord} from '../cvr/types.ts';
import type {Log} from '../observe/log.ts';
import {protocolError} from '../protocol/error-body.ts';
import {
  type NamedQuery,
  namedQueriesOf,
  type Transformed,
  type TransformQueries,
} from '../sync/transform-queries.ts';
import type {ClientConnection} from '../sync/types.ts';
import type {AST} from '../zql/ast.ts';
import type {NamedQueries} from './named-queries.ts';

/** Client queries go one way, named ones are asked for at the app's endpoint. */
export const transformBoth = (
  local: TransformQueries,
  named: NamedQueries | null,
  log: Log,
): TransformQueries => {
  let warned = false;
  return async (queries, connection) => {
    const asked = namedQueriesOf(queries);
    if (asked.length === 0) return local(queries, connection);
    if (!named) {
      if (!warned)
        log.warn(
          `clients ask for queries by name, which nobody answers: set ZERO_QUERY_URL to the endpoint of your app that does (first one: ${asked[0]!.name}).`,
        );
      warned = true;
      return local(queries, connection);
    }
    const results = new Map<string, Transformed>(await local(queries, connection));
    for (const [hash, result] of await named.transform(asked, connection)) results.set(hash, result);
    return results;
  };
};

/** One query for its own sake, as it would be run. @throws ProtocolError */
export const resolveQuery =
  (local: TransformQueries, named: NamedQueries | null) =>
  async (query: {readonly ast: AST} | NamedQuery, connection: ClientConnection): Promise<AST> => {
    if ('ast' in query) {
      const record = recordOf(query.ast);
      const result = (await local([record], connection)).get(record.hash);
      return astOf(result);
    }
    if (!named)
      throw protocolError('InvalidMessage', 'A query has a name only where ZERO_QUERY_URL is configured.');
    return astOf((await named.transform([query], connection)).get(query.hash));
  };

const astOf = (result: Transformed | undefined): AST => {
  if (result && 'ast' in result) return result.ast;
  throw protocolError('InvalidMessage', result?.error.message ?? 'The query is refused.');
};

const recordOf = (ast: AST): QueryRecord => ({
  hash: 'analyze-query',
  ast,
  name: null,
  args: null,
  internal: false,
  patchVersion: null,
  transformationHash: null,
  transformationVersion: null,
  desires: new Map(),
});

import type {Claims} from '../auth/bind-static.ts';
import type {Permissions} from '../auth/permissions.ts';
import {transformClientQuery} from '../auth/read-permissions.ts';
import {remembered} from '../flow/remembered.ts';
import type {AST} from '../zql/ast.ts';
import type {Transformed, TransformQueries} from './transform-queries.ts';

const NO_CLAIMS: Claims = {};

/** All three are shared by many groups, claims by the connections of users who are not logged in. */
const transform = remembered((permissions: Permissions) =>
  remembered((claims: Claims) => remembered((ast: AST) => transformClientQuery(ast, permissions, claims))),
);

/** Client queries under the deployed permissions and the claims of a verified token; named queries are left un-got. */
export const transformLocally =
  (permissions: () => Permissions): TransformQueries =>
  async (queries, {auth}) => {
    const claims = auth.kind === 'jwt' ? auth.claims : NO_CLAIMS;
    const transformed = new Map<string, Transformed>();
    for (const {hash, ast} of queries)
      if (ast) transformed.set(hash, {ast: transform(permissions())(claims)(ast)});
    return transformed;
  };

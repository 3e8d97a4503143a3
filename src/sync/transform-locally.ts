import type {Permissions} from '../auth/permissions.ts';
import {transformClientQuery} from '../auth/read-permissions.ts';
import type {Transformed, TransformQueries} from './group-deps.ts';

/** Client queries under the deployed permissions and the claims of a verified token; named queries are left un-got. */
export const transformLocally =
  (permissions: () => Permissions): TransformQueries =>
  async (queries, {auth}) => {
    const claims = auth.kind === 'jwt' ? auth.claims : {};
    const transformed = new Map<string, Transformed>();
    for (const {hash, ast} of queries)
      if (ast) transformed.set(hash, {ast: transformClientQuery(ast, permissions(), claims)});
    return transformed;
  };

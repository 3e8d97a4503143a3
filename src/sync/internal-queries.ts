import type {Cvr} from '../cvr/types.ts';
import type {AST} from '../zql/ast.ts';

/** Queries over the shard's own tables: mutation ids and results travel like rows (views.md §1.2). */
const INTERNAL_QUERIES = ['lmids', 'mutationResults'] as const;

export const isInternal = (hash: string): boolean => (INTERNAL_QUERIES as readonly string[]).includes(hash);

/** Every group has them; they are written with its first change. */
export const ensureInternalQueries = (cvr: Cvr, shard: string): void => {
  for (const hash of INTERNAL_QUERIES)
    if (!cvr.queries.has(hash))
      cvr.queries.set(hash, {
        hash,
        ast: internalQuery(hash, shard, cvr.clientGroupID),
        name: null,
        args: null,
        internal: true,
        patchVersion: null,
        transformationHash: null,
        transformationVersion: null,
        desires: new Map(),
      });
};

const internalQuery = (
  hash: (typeof INTERNAL_QUERIES)[number],
  shard: string,
  clientGroupID: string,
): AST => ({
  table: hash === 'lmids' ? `${shard}.clients` : `${shard}.mutations`,
  where: {
    type: 'simple',
    op: '=',
    left: {type: 'column', name: 'clientGroupID'},
    right: {type: 'literal', value: clientGroupID},
  },
  orderBy: [
    ['clientGroupID', 'asc'],
    ['clientID', 'asc'],
    ...(hash === 'lmids' ? [] : [['mutationID', 'asc'] as const]),
  ],
});

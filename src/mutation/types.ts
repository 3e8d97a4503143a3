import type {Claims} from '../auth/bind-static.ts';
import type {CrudMutation} from '../protocol/up.ts';
import type {ClientConnection} from '../sync/types.ts';

export interface MutationRequest {
  readonly connection: ClientConnection;
  readonly mutation: CrudMutation;
  readonly claims: Claims;
}

/** What became of a mutation. In each case but `out-of-order` its id is taken: it will not be tried again. */
export type MutationOutcome =
  | {readonly kind: 'applied' | 'denied' | 'repeated'}
  | {readonly kind: 'failed'; readonly message: string}
  | {readonly kind: 'out-of-order'; readonly expected: number};

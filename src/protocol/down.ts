import type {RowKey} from '../ivm/row-id.ts';
import type {JsonValue} from '../zql/ast.ts';
import type {ErrorBody} from './error-body.ts';
import type {DeleteClients, MutationID} from './up.ts';

/** Messages from server to client, `[type, body]` (protocol.md §3). */
export type Down =
  | readonly ['connected', {readonly wsid: string; readonly timestamp: number}]
  | readonly ['pong', Readonly<Record<string, never>>]
  | readonly ['error', ErrorBody]
  | readonly ['pokeStart', {readonly pokeID: string; readonly baseCookie: string | null}]
  | readonly ['pokePart', PokePart]
  | readonly ['pokeEnd', {readonly pokeID: string; readonly cookie: string; readonly cancel?: boolean}]
  | readonly ['transformError', readonly ErroredQuery[]]
  | readonly ['deleteClients', DeleteClients]
  | readonly ['inspect', {readonly id: string; readonly op: string; readonly value: unknown}];

export interface PokePart {
  readonly pokeID: string;
  readonly lastMutationIDChanges?: Readonly<Record<string, number>>;
  readonly desiredQueriesPatches?: Readonly<Record<string, readonly DownQueryOp[]>>;
  readonly gotQueriesPatch?: readonly DownQueryOp[];
  readonly rowsPatch?: readonly RowOp[];
  readonly mutationsPatch?: readonly MutationOp[];
}

export type DownQueryOp = {readonly op: 'put' | 'del'; readonly hash: string};

export type RowOp =
  | {readonly op: 'put'; readonly tableName: string; readonly value: Readonly<Record<string, JsonValue>>}
  | {readonly op: 'del'; readonly tableName: string; readonly id: RowKey};

export type MutationOp =
  | {readonly op: 'put'; readonly mutation: {readonly id: MutationID; readonly result: JsonValue}}
  | {readonly op: 'del'; readonly id: MutationID};

export type ErroredQuery = {
  readonly error: 'app' | 'parse';
  readonly id: string;
  readonly name: string;
  readonly message?: string | undefined;
  readonly details?: JsonValue | undefined;
};

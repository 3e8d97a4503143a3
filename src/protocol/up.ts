import type {AST, JsonValue} from '../zql/ast.ts';

/** Messages from client to server, `[type, body]` (protocol.md §2). */
export type Up =
  | readonly ['initConnection', InitConnection]
  | readonly ['changeDesiredQueries', {readonly desiredQueriesPatch: readonly UpQueryOp[]}]
  | readonly ['push', Push]
  | readonly [
      'pull',
      {readonly clientGroupID: string; readonly cookie: string | null; readonly requestID: string},
    ]
  | readonly ['deleteClients', DeleteClients]
  | readonly ['ping', Readonly<Record<string, never>>]
  | readonly ['updateAuth', {readonly auth: string}]
  | readonly ['ackMutationResponses', MutationID]
  | readonly ['closeConnection', readonly unknown[]]
  | readonly ['inspect', InspectUp];

export interface InitConnection {
  readonly desiredQueriesPatch: readonly UpQueryOp[];
  readonly clientSchema?: ClientSchema | undefined;
  readonly deleted?: DeleteClients | undefined;
  readonly userPushURL?: string | undefined;
  readonly userPushHeaders?: Readonly<Record<string, string>> | undefined;
  readonly userQueryURL?: string | undefined;
  readonly userQueryHeaders?: Readonly<Record<string, string>> | undefined;
  readonly activeClients?: readonly string[] | undefined;
  readonly traceparent?: string | undefined;
}

/** A put has either `ast` (client query) or `name` and `args` (custom query). `ttl` in ms; negative = forever. */
export type UpQueryOp =
  | {
      readonly op: 'put';
      readonly hash: string;
      readonly ttl?: number | undefined;
      readonly ast?: AST | undefined;
      readonly name?: string | undefined;
      readonly args?: readonly JsonValue[] | undefined;
    }
  | {readonly op: 'del'; readonly hash: string}
  | {readonly op: 'clear'};

export interface DeleteClients {
  readonly clientIDs?: readonly string[] | undefined;
  readonly clientGroupIDs?: readonly string[] | undefined;
}

export type ValueType = 'string' | 'number' | 'boolean' | 'null' | 'json';

export interface ClientSchema {
  readonly tables: Readonly<
    Record<
      string,
      {
        readonly columns: Readonly<Record<string, {readonly type: ValueType}>>;
        readonly primaryKey?: readonly string[] | undefined;
      }
    >
  >;
}

export interface MutationID {
  readonly id: number;
  readonly clientID: string;
}

export interface Push {
  readonly clientGroupID: string;
  readonly mutations: readonly Mutation[];
  readonly pushVersion: number;
  readonly schemaVersion?: number | undefined;
  readonly timestamp: number;
  readonly requestID: string;
  readonly auth?: string | undefined;
  readonly traceparent?: string | undefined;
}

export type Mutation = CrudMutation | CustomMutation;

export interface CrudMutation {
  readonly type: 'crud';
  readonly id: number;
  readonly clientID: string;
  readonly name: string;
  readonly timestamp: number;
  readonly args: readonly [{readonly ops: readonly CrudOp[]}];
}

export interface CrudOp {
  readonly op: 'insert' | 'upsert' | 'update' | 'delete';
  readonly tableName: string;
  readonly primaryKey: readonly string[];
  readonly value: Readonly<Record<string, JsonValue>>;
}

export interface CustomMutation {
  readonly type: 'custom';
  readonly id: number;
  readonly clientID: string;
  readonly name: string;
  readonly timestamp: number;
  readonly args: readonly JsonValue[];
}

export type InspectUp = {readonly id: string} & (
  | {readonly op: 'queries'; readonly clientID?: string | undefined}
  | {readonly op: 'metrics'}
  | {readonly op: 'version'}
  | {readonly op: 'authenticate'; readonly value: string}
  | {
      readonly op: 'analyze-query';
      readonly ast?: AST | undefined;
      readonly value?: AST | undefined;
      readonly name?: string | undefined;
      readonly args?: readonly JsonValue[] | undefined;
      readonly options?:
        | {
            readonly vendedRows?: boolean | undefined;
            readonly syncedRows?: boolean | undefined;
            readonly joinPlans?: boolean | undefined;
          }
        | undefined;
    }
);

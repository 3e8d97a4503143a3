import {exhaustMap, from, interval, merge, mergeMap, type Observable} from 'rxjs';
import type {NamedQueries} from '../src/app-server/named-queries.ts';
import {isAuthFailure} from '../src/auth/auth-failure.ts';
import {resolveAuth} from '../src/auth/resolve-auth.ts';
import type {TokenVerifier} from '../src/auth/verify.ts';
import type {ZeroConfig} from '../src/config/config.ts';
import {type StageBoard, stages} from '../src/flow/stage.ts';
import type {Log} from '../src/observe/log.ts';
import type {InitConnection} from '../src/protocol/up.ts';
import type {ClientGroup} from '../src/sync/client-group.ts';
import type {NamedQuery} from '../src/sync/transform-queries.ts';
import type {ClientConnection} from '../src/sync/types.ts';

export interface IdentityDeps {
  readonly config: Pick<ZeroConfig, 'auth'>;
  readonly log: Log;
  readonly board: StageBoard;
  readonly verifier: TokenVerifier;
  /** null without a query endpoint: then what a client says of its user is believed, if its token bears it out. */
  readonly named: NamedQueries | null;
  readonly groups: () => Iterable<ClientGroup>;
}

export interface Identity {
  /** Before anything is served: the app's server must accept the user. @throws ProtocolError */
  admit(group: ClientGroup, connection: ClientConnection, init: InitConnection): Promise<void>;
  /** Asks for named queries before the group has to wait for them. @throws ProtocolError `TransformFailed` */
  prepare(connection: ClientConnection, queries: readonly NamedQuery[]): Promise<void>;
  /** @returns whether the credential has changed. @throws ProtocolError */
  renew(group: ClientGroup, connection: ClientConnection, token: string): Promise<boolean>;
  /** Checks again, all the time: that users are still accepted, and what named queries mean. */
  readonly maintenance: Observable<unknown>;
}

/** Groups and connections that are asked about at a time. */
const CONCURRENCY = 4;

/** Who clients are, from connect to close (mutations-auth.md §5.4). */
export const createIdentity = (deps: IdentityDeps): Identity => {
  const {named, log, verifier} = deps;
  const checkedAt = new WeakMap<ClientConnection, number>();
  const transformedAt = new WeakMap<ClientGroup, number>();

  const validate = async (connection: ClientConnection): Promise<void> => {
    await named?.validate(connection);
    checkedAt.set(connection, Date.now());
  };
  const prepare = async (connection: ClientConnection, queries: readonly NamedQuery[]): Promise<void> => {
    if (queries.length) await named?.transform(queries, connection);
  };
  /** Everything will be transformed with this credential: asked for here, its failure is this connection's alone. */
  const prepareAll = (
    group: ClientGroup,
    connection: ClientConnection,
    more: readonly NamedQuery[],
  ): Promise<void> => {
    transformedAt.set(group, Date.now());
    return prepare(connection, [...group.namedQueries(), ...more]);
  };

  const revalidate = async (connection: ClientConnection): Promise<void> => {
    const {auth} = connection;
    try {
      await validate(connection);
    } catch (error) {
      // A credential that was replaced meanwhile is nobody's any more.
      if (isAuthFailure(error) && connection.auth === auth) return connection.fail(error);
      checkedAt.set(connection, Date.now());
      log.warn({err: error}, 'the app server could not be asked whether a user is still accepted');
    }
  };
  const retransform = async (group: ClientGroup): Promise<void> => {
    transformedAt.set(group, Date.now());
    for (let connection = group.credential(); connection; connection = group.credential()) {
      const {auth} = connection;
      try {
        await prepare(connection, group.namedQueries());
        return group.retransform();
      } catch (error) {
        if (!isAuthFailure(error))
          return log.warn({err: error}, 'named queries could not be asked for again; they stay as they are');
        if (connection.auth === auth) connection.fail(error);
      }
    }
  };

  const stage = stages(deps.board, 'identity');
  const every = <T extends object>(
    name: string,
    seconds: number,
    items: (group: ClientGroup) => Iterable<T>,
    last: WeakMap<T, number>,
    work: (item: T) => Promise<void>,
  ): Observable<unknown> => {
    if (!named || seconds <= 0) return from([]);
    const due = (): T[] => {
      const before = Date.now() - seconds * 1000;
      const found: T[] = [];
      for (const group of deps.groups())
        for (const item of items(group)) {
          const at = last.get(item);
          if (at === undefined) last.set(item, Date.now());
          else if (at <= before) found.push(item);
        }
      return found;
    };
    return interval(Math.min(Math.max(seconds * 100, 100), 30_000)).pipe(
      stage(
        name,
        exhaustMap(() => from(due()).pipe(mergeMap(work, CONCURRENCY))),
      ),
    );
  };
  const {revalidateIntervalSeconds, retransformIntervalSeconds} = deps.config.auth;

  return {
    admit: async (group, connection, init) => {
      connection.appTargets = {
        pushURL: init.userPushURL,
        pushHeaders: init.userPushHeaders,
        queryURL: init.userQueryURL,
        queryHeaders: init.userQueryHeaders,
      };
      await validate(connection);
      await prepareAll(group, connection, namedPuts(init.desiredQueriesPatch));
    },
    prepare,
    renew: async (group, connection, token) => {
      const next = resolveAuth(connection.auth, await verifier.verify(token, connection.userID));
      if (next === connection.auth) return false;
      connection.auth = next;
      await validate(connection);
      await prepareAll(group, connection, []);
      return true;
    },
    maintenance: merge(
      every('revalidate', revalidateIntervalSeconds, group => group.connections(), checkedAt, revalidate),
      every('retransform', retransformIntervalSeconds, group => [group], transformedAt, retransform),
    ),
  };
};

/** The named queries that a patch asks for. */
export const namedPuts = (patch: InitConnection['desiredQueriesPatch']): NamedQuery[] =>
  patch.flatMap(op =>
    op.op === 'put' && !op.ast && op.name !== undefined
      ? [{hash: op.hash, name: op.name, args: op.args ?? []}]
      : [],
  );

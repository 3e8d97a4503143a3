import {isAdminPassword} from '../auth/admin-password.ts';
import type {ZeroConfig} from '../config/config.ts';
import {DaemonError} from '../errors.ts';
import type {Log} from '../observe/log.ts';
import {TimeDigest} from '../observe/time-digest.ts';
import type {ClientSchema, InspectUp} from '../protocol/up.ts';
import type {AST} from '../zql/ast.ts';
import {zqlText} from '../zql/zql-text.ts';
import type {AnalyzeOptions, AnalyzeResult} from './analyze-result.ts';
import {type InspectedGroup, type InspectedQuery, inspectMetrics, inspectQueries} from './inspect-queries.ts';
import type {NamedQuery} from './transform-queries.ts';
import type {ClientConnection} from './types.ts';

type AnalyzeUp = Extract<InspectUp, {op: 'analyze-query'}>;

export interface InspectDeps {
  readonly config: Pick<ZeroConfig, 'adminPassword' | 'development'>;
  readonly version: string;
  readonly log: Log;
  /** The query as it is run: permissions and parameters bound for an AST, the app asked for a name. @throws ProtocolError */
  readonly resolve: (
    query: {readonly ast: AST} | NamedQuery,
    connection: ClientConnection,
  ) => Promise<ResolvedQuery>;
  /** Answers it once and tells how. @throws QueryError */
  readonly analyze: (
    ast: AST,
    options: AnalyzeOptions,
    schema: ClientSchema | null,
  ) => Promise<AnalyzeResult>;
}

export interface ResolvedQuery {
  readonly ast: AST;
  /** Whether deployed rules were added to it. */
  readonly ruled: boolean;
}

/** A client group, as far as its inspector sees it; null before its view record was loaded. */
export interface InspectableGroup {
  inspected(): InspectedGroup | null;
}

/** Answers the client's inspector (protocol.md §3.8); a group is let in once, by the admin's password. */
export class InspectHandler {
  readonly #deps: InspectDeps;
  readonly #admitted = new WeakSet<InspectableGroup>();

  constructor(deps: InspectDeps) {
    this.#deps = deps;
  }

  async handle(group: InspectableGroup, connection: ClientConnection, body: InspectUp): Promise<void> {
    const {id, op} = body;
    const answer = (op: string, value: unknown) => connection.send(['inspect', {id, op, value}]);
    if (op === 'authenticate') return answer('authenticated', this.#authenticate(group, body.value));
    if (!this.#deps.config.development && !this.#admitted.has(group)) return answer('authenticated', false);
    try {
      answer(op, await this.#answer(group, connection, body));
    } catch (error) {
      if (!(error instanceof DaemonError))
        this.#deps.log.error({err: error}, 'an inspector was not answered');
      answer('error', error instanceof DaemonError ? error.message : 'Internal error; see the server log.');
    }
  }

  #authenticate(group: InspectableGroup, password: string): boolean {
    const {config} = this.#deps;
    const admitted = isAdminPassword(config, password);
    if (admitted) this.#admitted.add(group);
    return admitted;
  }

  async #answer(
    group: InspectableGroup,
    connection: ClientConnection,
    body: Exclude<InspectUp, {op: 'authenticate'}>,
  ): Promise<unknown> {
    switch (body.op) {
      case 'version':
        return this.#deps.version;
      case 'queries': {
        const inspected = group.inspected();
        const queries = inspected ? inspectQueries(inspected, body.clientID) : [];
        return connection.protocolVersion < HYDRATION_AS_NUMBER ? queries.map(withHydrationDigest) : queries;
      }
      case 'metrics': {
        const inspected = group.inspected();
        return inspectMetrics(inspected);
      }
      case 'analyze-query': {
        const {ast, ruled} = await this.#deps.resolve(queryOf(body), connection);
        const schema = group.inspected()?.cvr.clientSchema ?? null;
        const result = await this.#deps.analyze(ast, body.options ?? {}, schema);
        return ruled ? {...result, afterPermissions: zqlText(ast)} : result;
      }
    }
  }
}

/** Older clients take the time of hydration as a digest, like the other times (views.md §8.1). */
const HYDRATION_AS_NUMBER = 51;

const withHydrationDigest = ({metrics, ...query}: InspectedQuery) => ({
  ...query,
  metrics: metrics && {
    'query-materialization-server': oneTime(metrics['query-hydration-server-ms']),
    'query-update-server': metrics['query-update-server'],
  },
});

const oneTime = (ms: number): number[] => {
  const digest = new TimeDigest();
  digest.add(ms);
  return digest.toWire();
};

const queryOf = ({ast, value, name, args}: AnalyzeUp): {readonly ast: AST} | NamedQuery => {
  const given = ast ?? value;
  if (given) return {ast: given};
  return {hash: 'analyze-query', name: name ?? '', args: args ?? []};
};

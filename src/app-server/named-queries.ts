import {createHash} from 'node:crypto';
import {LRUCache} from 'lru-cache';
import type {ErroredQuery} from '../protocol/down.ts';
import type {NamedQuery} from '../sync/transform-queries.ts';
import type {AST} from '../zql/ast.ts';
import {AppCallFailed, type Caller, callApp, seenOf} from './call.ts';
import type {Endpoint} from './endpoint.ts';
import {checkUser, reportedTransformFailure, transformFailed} from './failures.ts';
import {type QueryEntry, type QuerySuccess, readQueryResponse} from './query-response.ts';

export type NamedResult = {readonly ast: AST} | {readonly error: ErroredQuery};

const CACHE_MS = 5000;
const CACHE_ENTRIES = 10_000;

/**
 * Asks the app's query endpoint what named queries mean, and whether it knows the user (mutations-auth.md §7). What
 * succeeded is remembered for 5 s, by everything that the app's server got to see.
 */
export class NamedQueries {
  readonly #endpoint: Endpoint;
  readonly #cache = new LRUCache<string, NamedResult>({max: CACHE_ENTRIES, ttl: CACHE_MS});

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** By hash. @throws ProtocolError `TransformFailed`, or `Unauthorized` if the endpoint names another user. */
  async transform(queries: readonly NamedQuery[], caller: Caller): Promise<ReadonlyMap<string, NamedResult>> {
    const results = new Map<string, NamedResult>();
    const identity = this.#identityOf(caller, queries);
    const asked: NamedQuery[] = [];
    for (const query of queries) {
      const known = this.#cache.get(cacheKey(identity, query));
      if (known) results.set(query.hash, known);
      else asked.push(query);
    }
    if (asked.length === 0) return results;
    const answer = await this.#ask(asked, caller);
    const entries = new Map(answer.queries.map(entry => [entry.id, entry]));
    for (const query of asked) {
      const result = resultOf(query, entries.get(query.hash));
      results.set(query.hash, result);
      if ('ast' in result) this.#cache.set(cacheKey(identity, query), result);
    }
    return results;
  }

  /** Whether the app's server accepts the caller: a question about no query. @throws ProtocolError */
  async validate(caller: Caller): Promise<void> {
    await this.#ask([], caller);
  }

  /** A digest, so that no answer reaches another caller, and tabs of one user share theirs. */
  #identityOf(caller: Caller, queries: readonly NamedQuery[]): string {
    try {
      const seen = seenOf(this.#endpoint, 'query', caller);
      return createHash('sha1')
        .update(JSON.stringify([seen, caller.userID]))
        .digest('base64');
    } catch (error) {
      throw asTransformFailed(error, queries);
    }
  }

  async #ask(queries: readonly NamedQuery[], caller: Caller): Promise<QuerySuccess> {
    const body = ['transform', queries.map(({hash, name, args}) => ({id: hash, name, args}))];
    let answer: unknown;
    try {
      answer = await callApp({
        endpoint: this.#endpoint,
        kind: 'query',
        caller,
        body,
      });
    } catch (error) {
      throw asTransformFailed(error, queries);
    }
    const read = readQueryResponse(answer);
    if (!read) throw asTransformFailed(notUnderstood(), queries);
    if ('failure' in read) throw reportedTransformFailure(read.failure, idsOf(queries));
    checkUser(read.success.userID, caller.userID);
    return read.success;
  }
}

const idsOf = (queries: readonly NamedQuery[]): string[] => queries.map(({hash}) => hash);

const notUnderstood = (): AppCallFailed =>
  new AppCallFailed('parse', 'The app server answered with something else than queries.');

const asTransformFailed = (error: unknown, queries: readonly NamedQuery[]): unknown =>
  error instanceof AppCallFailed ? transformFailed(error, idsOf(queries)) : error;

const resultOf = (query: NamedQuery, entry: QueryEntry | undefined): NamedResult => {
  if (entry && 'ast' in entry) return {ast: entry.ast};
  if (entry) return {error: entry};
  const message = 'The app server left this query out of its answer.';
  return {error: {error: 'app', id: query.hash, name: query.name, message}};
};

/** Name and arguments are part of it: the hash is only what a client claims. */
const cacheKey = (identity: string, {hash, name, args}: NamedQuery): string =>
  `${identity}\0${hash}\0${name}\0${JSON.stringify(args)}`;

import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {handleMutateRequest, handleQueryRequest} from '@rocicorp/zero/server';
import {zeroNodePg} from '@rocicorp/zero/server/adapters/pg';
import type pg from 'pg';
import {mutators, queries, SERVER, schema} from './app-schema.ts';

export interface AppRequest {
  readonly path: '/mutate' | '/query';
  readonly params: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  readonly body: never;
}

/** Answers a request by hand instead of the stock handlers; `false` leaves it to them. */
export type Interception = (request: AppRequest, response: ServerResponse) => boolean | Promise<boolean>;

export interface AppServer {
  readonly url: string;
  readonly requests: AppRequest[];
  /** The user that the app says a request is of; by default the claimed bearer token. */
  userID: (request: AppRequest) => string | null | undefined;
  intercept: Interception | null;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The server of a small app: the stock library's handlers over the app's own tables. */
export const startAppServer = async (pool: pg.Pool): Promise<AppServer> => {
  const dbProvider = zeroNodePg(schema, pool);
  const requests: AppRequest[] = [];
  const server = createServer((incoming, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const url = new URL(incoming.url ?? '/', 'http://app');
      const request: AppRequest = {
        path: url.pathname as AppRequest['path'],
        params: Object.fromEntries(url.searchParams),
        headers: incoming.headers,
        body: JSON.parse(Buffer.concat(chunks).toString()) as never,
      };
      requests.push(request);
      if (await app.intercept?.(request, response)) return;
      const common = {
        query: request.params,
        body: request.body,
        userID: app.userID(request),
        logLevel: 'error',
      } as const;
      const answer =
        request.path === '/mutate'
          ? await handleMutateRequest({
              ...common,
              dbProvider,
              handler: transact =>
                transact((tx, name, args) => {
                  const [group = '', own = ''] = name.split('.');
                  const mutator = Reflect.get(Reflect.get(mutators, group), own);
                  return mutator.fn({tx, args, ctx: SERVER});
                }),
            })
          : await handleQueryRequest({
              ...common,
              schema,
              handler: (name, args) => Reflect.get(queries, name).fn({args, ctx: SERVER}),
            });
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(answer));
    })().catch(error => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const app: AppServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    userID: bearer,
    intercept: null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return app;
};

/** An app that believes any token to be its user's id. */
export const bearer = ({headers}: AppRequest): string | undefined =>
  headers.authorization?.replace('Bearer ', '');

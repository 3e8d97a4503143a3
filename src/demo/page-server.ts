import {existsSync, readFileSync} from 'node:fs';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {fileURLToPath} from 'node:url';
import type {PageFacts} from './page-facts.ts';

export interface PageDeps {
  /** Facts for the page, as they are now. */
  readonly facts: () => PageFacts | Promise<PageFacts>;
  /** Runs the example statement upstream, as psql would; null: there is none. */
  readonly runExample: (() => Promise<void>) | null;
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws://localhost:* ws://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Serves development mode's page, from the bundle's folder; false for paths that are not its own. */
export const pageServer = (
  deps: PageDeps,
): ((request: IncomingMessage, response: ServerResponse) => boolean) => {
  const folder = pageFolder();
  const files: ReadonlyMap<string, string> = new Map([
    ['/', 'index.html'],
    ['/demo/page.js', 'page.js'],
    ['/demo/page.css', 'page.css'],
    ['/favicon.ico', 'icon.svg'],
  ]);
  return (request, response) => {
    const {pathname} = new URL(request.url ?? '/', 'http://localhost');
    // Another name for this machine would let a page of elsewhere read what is here.
    if (!/^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(request.headers.host ?? '')) return false;
    const file = files.get(pathname);
    if (file && (request.method === 'GET' || request.method === 'HEAD')) {
      response.setHeader('Content-Type', TYPES[file.split('.').at(-1)!]!);
      response.setHeader('Content-Security-Policy', POLICY);
      response.setHeader('X-Content-Type-Options', 'nosniff');
      response.setHeader('Cache-Control', 'no-cache');
      response.end(request.method === 'HEAD' ? undefined : readFileSync(new URL(file, folder)));
      return true;
    }
    if (pathname === '/demo/facts.json' && request.method === 'GET') {
      void Promise.resolve(deps.facts()).then(
        facts => json(response, 200, facts),
        () => json(response, 503, {}),
      );
      return true;
    }
    if (pathname === '/demo/example' && request.method === 'POST') {
      // A page of elsewhere cannot send this header without being asked first, and we do not answer that.
      if (!deps.runExample || request.headers['x-zerostream'] === undefined) json(response, 403, {});
      else
        void deps.runExample().then(
          () => json(response, 200, {}),
          (error: Error) => json(response, 500, {message: error.message}),
        );
      return true;
    }
    return false;
  };
};

const json = (response: ServerResponse, status: number, body: object): void => {
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-store');
  response.end(JSON.stringify(body));
};

/** Beside the running bundle; from sources, in what was built of them. */
const pageFolder = (): URL => {
  const beside = new URL('./demo/', import.meta.url);
  return existsSync(fileURLToPath(new URL('page.js', beside)))
    ? beside
    : new URL('../../dist/demo/', import.meta.url);
};

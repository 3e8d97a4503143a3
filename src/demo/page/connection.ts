import {Zero, type ZeroOptions} from '@rocicorp/zero';
import {byId, fill, h} from './dom.ts';

const SAYS: Readonly<Record<string, readonly [className: string, text: string, more: string]>> = {
  connected: ['up', 'In sync', 'Connected: changes arrive as they are committed'],
  connecting: ['wait', 'Connecting…', 'Waiting for the server; what you see stays usable'],
  disconnected: ['down', 'Offline', 'The server does not answer; trying again every few seconds'],
  error: ['down', 'Stopped', 'The server refused the connection; reload the page'],
  'needs-auth': ['down', 'Stopped', 'The server asks for a login, which this page has not'],
  closed: ['down', 'Closed', 'Reload the page to connect again'],
};

type AnySchema = ZeroOptions['schema'];

/**
 * The stock client of this server. Rows are held in memory only: each window is a client group of its own, so all that
 * passes between two of them passes through the server.
 */
export const connect = <S extends AnySchema>(schema: S): Zero<S> => {
  const zero = new Zero({
    cacheURL: location.origin,
    schema,
    userID: 'anyone',
    kvStore: 'mem',
    logLevel: 'error',
    onClientStateNotFound: () => location.reload(),
    onUpdateNeeded: () => location.reload(),
  } as ZeroOptions<S>) as Zero<S>;
  const show = () => {
    const [className, text, more] = SAYS[zero.connection.state.current.name] ?? SAYS['connecting']!;
    const element = byId('connection');
    element.className = `connection ${className}`;
    element.title = more;
    fill(element, h('i', {'aria-hidden': 'true'}), text);
  };
  zero.connection.state.subscribe(show);
  show();
  return zero;
};

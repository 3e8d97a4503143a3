import {protocolError} from '../protocol/error-body.ts';
import type {Auth} from './auth.ts';

/**
 * What a connection's credential becomes when its client sends another (mutations-auth.md §5.2). The same object comes
 * back if nothing changes. @throws ProtocolError `Unauthorized`
 */
export const resolveAuth = (previous: Auth, incoming: Auth): Auth => {
  if (previous.kind === 'none') return incoming.kind === 'none' ? previous : incoming;
  if (incoming.kind === 'none')
    throw protocolError('Unauthorized', 'An empty token cannot replace the current one.');
  if (incoming.kind === 'opaque') {
    if (previous.kind !== 'opaque') throw kindChanged();
    return previous.token === incoming.token ? previous : incoming;
  }
  if (previous.kind !== 'jwt') throw kindChanged();
  const {iat: before, sub} = previous.claims;
  const {iat: after} = incoming.claims;
  if (incoming.claims['sub'] !== sub)
    throw protocolError('Unauthorized', 'The new token is for another user than the current one.');
  if (typeof before !== 'number') return incoming;
  if (typeof after !== 'number')
    throw protocolError(
      'Unauthorized',
      'The new token lacks the time of issue (iat) that the current one has.',
    );
  return after > before ? incoming : previous;
};

const kindChanged = () =>
  protocolError('Unauthorized', 'The new token is of another kind than the current one.');

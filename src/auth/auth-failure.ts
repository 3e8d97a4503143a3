import {ProtocolError} from '../protocol/error-body.ts';

/** Whether an error says that the user is not, or no longer, accepted; other failures are nobody's fault. */
export const isAuthFailure = (error: unknown): error is ProtocolError => {
  if (!(error instanceof ProtocolError)) return false;
  const {body} = error;
  if (body.kind === 'Unauthorized' || body.kind === 'AuthInvalidated') return true;
  if (body.kind !== 'TransformFailed' && body.kind !== 'PushFailed') return false;
  return body.reason === 'http' && (body.status === 401 || body.status === 403);
};

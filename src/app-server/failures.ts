import {type Cause, ProtocolError, protocolError} from '../protocol/error-body.ts';
import type {MutationID} from '../protocol/up.ts';
import type {AppCallFailed} from './call.ts';
import type {MutateFailure} from './mutate-response.ts';
import type {QueryFailure} from './query-response.ts';

/** How a failed call reads to the client: the cause, as the protocol names it (protocol.md §4.1). */
const causeOf = ({reason, status, bodyPreview}: AppCallFailed) =>
  reason === 'http'
    ? {
        origin: 'zeroCache' as const,
        reason,
        status: status ?? 500,
        ...(bodyPreview === undefined ? {} : {bodyPreview}),
      }
    : {origin: 'zeroCache' as const, reason};

export const pushFailed = (error: AppCallFailed, mutationIDs: readonly MutationID[]): ProtocolError =>
  new ProtocolError(
    {kind: 'PushFailed', message: error.message, mutationIDs, ...causeOf(error)},
    {cause: error},
  );

export const transformFailed = (error: AppCallFailed, queryIDs: readonly string[]): ProtocolError =>
  new ProtocolError(
    {kind: 'TransformFailed', message: error.message, queryIDs, ...causeOf(error)},
    {cause: error},
  );

/** A failure that the app's server reports itself, in the client's words. */
export const reportedPushFailure = (failure: MutateFailure, sent: readonly MutationID[]): ProtocolError =>
  new ProtocolError({
    kind: 'PushFailed',
    message: failure.message ?? 'The app server could not process the mutations.',
    mutationIDs: failure.mutationIDs ?? sent,
    ...reported(failure),
  });

export const reportedTransformFailure = (failure: QueryFailure, sent: readonly string[]): ProtocolError =>
  new ProtocolError({
    kind: 'TransformFailed',
    message: failure.message ?? 'The app server could not process the queries.',
    queryIDs: failure.queryIDs ?? sent,
    ...reported(failure),
  });

const reported = ({origin, reason, status, bodyPreview, details}: MutateFailure | QueryFailure): Cause => {
  const more = details === undefined ? {} : {details};
  if (reason === 'http')
    return {
      ...more,
      origin: 'zeroCache',
      reason,
      status: status ?? 500,
      ...(bodyPreview === undefined ? {} : {bodyPreview}),
    };
  if (reason === 'timeout') return {...more, origin: 'zeroCache', reason};
  if (origin === 'zeroCache' && (reason === 'parse' || reason === 'internal'))
    return {...more, origin, reason};
  return {...more, origin: 'server', reason};
};

/** @throws ProtocolError `Unauthorized` if the app's server names another user; it may name none. */
export const checkUser = (named: string | null | undefined, userID: string | null): void => {
  if (named !== undefined && named !== userID)
    throw protocolError(
      'Unauthorized',
      'The app server knows the user by another id than the connection does.',
    );
};

import {expect, test} from 'vitest';
import {AppCallFailed} from '../../src/app-server/call.ts';
import {
  pushFailed,
  reportedPushFailure,
  reportedTransformFailure,
  transformFailed,
} from '../../src/app-server/failures.ts';
import {isMutateFailure, readMutateResponse} from '../../src/app-server/mutate-response.ts';
import {readQueryResponse} from '../../src/app-server/query-response.ts';
import type {ProtocolError} from '../../src/protocol/error-body.ts';
import {refusalByStock} from '../helpers/taken-by-stock.ts';

/** Whatever an app's server says went wrong reaches the stock client in a form it takes (protocol.md §4.1). */
const SENT = [{id: 4, clientID: 'c'}];
const told = ({body}: ProtocolError) => {
  expect(refusalByStock(['error', body])).toBeNull();
  return body;
};
const more = {message: 'm', details: {a: [1, null]}};

const ofPush = (answer: object) => {
  const read = readMutateResponse(answer);
  if (!read || !isMutateFailure(read)) throw new Error('not read as a failure');
  return told(reportedPushFailure(read, SENT));
};

test.each(
  ['server', 'zeroCache', undefined].flatMap(origin =>
    ['database', 'parse', 'oooMutation', 'unsupportedPushVersion', 'internal', 'http', 'timeout'].map(
      reason => [origin, reason],
    ),
  ),
)('a push that failed by %s for %s', (origin, reason) => {
  expect(ofPush({kind: 'PushFailed', origin, reason})).toMatchObject({reason, mutationIDs: SENT});
  const own = [{id: 1, clientID: 'd'}];
  expect(ofPush({kind: 'PushFailed', origin, reason, mutationIDs: own, ...more})).toMatchObject({
    ...more,
    mutationIDs: own,
  });
  const http = ofPush({kind: 'PushFailed', origin, reason, status: 403, bodyPreview: 'no'});
  if (reason === 'http') expect(http).toMatchObject({status: 403, bodyPreview: 'no', origin: 'zeroCache'});
});

test.each(['unsupportedPushVersion', 'unsupportedSchemaVersion', 'http', 'zeroPusher'])(
  'the older form of a failed push: %s',
  error => {
    expect(ofPush({error})).toMatchObject({kind: 'PushFailed', mutationIDs: SENT});
    expect(ofPush({error, mutationIDs: SENT, status: 401, details: 'who?'})).toMatchObject({
      details: 'who?',
      ...(error === 'http' ? {status: 401} : {}),
    });
  },
);

test.each(
  ['server', 'zeroCache', undefined].flatMap(origin =>
    ['database', 'parse', 'internal', 'http', 'timeout'].map(reason => [origin, reason]),
  ),
)('queries that failed by %s for %s, in the newer and the older form', (origin, reason) => {
  for (const answer of [
    {kind: 'TransformFailed', origin, reason},
    {kind: 'TransformFailed', origin, reason, queryIDs: ['q'], status: 500, ...more},
    ['transformFailed', {origin, reason}],
  ]) {
    const read = readQueryResponse(answer);
    if (!read || !('failure' in read)) throw new Error('not read as a failure');
    expect(told(reportedTransformFailure(read.failure, ['q']))).toMatchObject({reason, queryIDs: ['q']});
  }
});

test.each(['http', 'timeout', 'parse', 'internal'] as const)('a call that failed for %s', reason => {
  const failure = new AppCallFailed(reason, 'm', reason === 'http' ? {status: 502, bodyPreview: 'x'} : {});
  expect(told(pushFailed(failure, SENT))).toMatchObject({kind: 'PushFailed', reason});
  expect(told(transformFailed(failure, ['q']))).toMatchObject({kind: 'TransformFailed', reason});
});

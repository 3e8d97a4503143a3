import {downstreamSchema} from '../../node_modules/@rocicorp/zero/out/zero-protocol/src/down.js';

/** Why the stock client would stop at a message of its protocol version; null if it takes it. */
export const refusalByStock = (message: unknown): string | null => {
  const result = downstreamSchema.try(message, {mode: 'passthrough'});
  return result.ok
    ? null
    : `the stock client stops at ${JSON.stringify(message).slice(0, 300)}: ${result.message}`;
};

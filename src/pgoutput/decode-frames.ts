import type {OperatorFunction} from 'rxjs';
import {StreamUndecodable} from '../errors.ts';
import {transform} from '../flow/transform.ts';
import type {WalFrames} from '../pg/gather-frames.ts';
import {PgoutputDecoder} from './decode.ts';
import type {WalMessage} from './messages.ts';

/** Decodes the frames of one replication connection; what arrived together stays together. @throws StreamUndecodable. */
export const decodeFrames = (): OperatorFunction<WalFrames, readonly WalMessage[]> =>
  transform(() => {
    const decoder = new PgoutputDecoder();
    return frames => {
      const messages: WalMessage[] = [];
      for (const frame of frames) {
        const message = decodeWith(decoder, frame);
        if (message) messages.push(message);
      }
      return messages.length ? [messages] : [];
    };
  });

const decodeWith = (decoder: PgoutputDecoder, frame: Buffer): WalMessage | null => {
  try {
    return decoder.decode(frame);
  } catch (error) {
    if (error instanceof RangeError)
      throw new StreamUndecodable('A frame of the WAL stream is shorter than it says.', {cause: error});
    throw error;
  }
};

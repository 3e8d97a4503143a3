import type {OperatorFunction} from 'rxjs';
import {transform} from '../flow/transform.ts';
import type {WalFrames} from '../pg/wal-source.ts';
import {PgoutputDecoder} from './decode.ts';
import type {WalMessage} from './messages.ts';

/** Decodes the frames of one replication connection; what arrived together stays together. @throws StreamUndecodable. */
export const decodeFrames = (): OperatorFunction<WalFrames, readonly WalMessage[]> =>
  transform(() => {
    const decoder = new PgoutputDecoder();
    return frames => {
      const messages: WalMessage[] = [];
      for (const frame of frames) {
        const message = decoder.decode(frame);
        if (message) messages.push(message);
      }
      return messages.length ? [messages] : [];
    };
  });

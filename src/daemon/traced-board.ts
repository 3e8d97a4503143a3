import {StageBoard} from '../flow/stage.ts';
import type {Log} from '../observe/log.ts';
import {type Identity, isExported} from '../observe/otlp.ts';

/** The board of a process; its stages become spans if the environment asks for traces. */
export const tracedBoard = (identity: Identity, log: Log): {board: StageBoard; stop: () => Promise<void>} => {
  const board = new StageBoard();
  if (!isExported('TRACES', process.env)) return {board, stop: async () => {}};
  const exporter = import('../observe/otlp-sdk.ts').then(({exportTraces}) => exportTraces(identity, log));
  void exporter.then(({settled}) => {
    board.onSettled = settled;
  });
  return {
    board,
    stop: async () => {
      board.onSettled = null;
      await (await exporter).stop();
    },
  };
};

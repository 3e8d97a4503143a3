import {endBound} from './bound-process.ts';

/** Exit codes of a program that a signal ends. */
const CODES = {SIGINT: 130, SIGTERM: 143} as const;

export interface Interruption {
  /** Resolves with the exit code when a signal has come and the programs that were started have ended. */
  readonly ended: Promise<number>;
  readonly happened: boolean;
  /** From here on signals are somebody else's. */
  release(): void;
}

/** Answers signals while things are being made; a second one ends the process as usual. */
export const watchSignals = (): Interruption => {
  let happened = false;
  let release = () => {};
  const ended = new Promise<number>(resolve => {
    const onSignal = (signal: NodeJS.Signals) => {
      happened = true;
      release();
      void endBound().then(() => resolve(CODES[signal as keyof typeof CODES]));
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
    release = () => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
    };
  });
  return {
    ended,
    get happened() {
      return happened;
    },
    release: () => release(),
  };
};

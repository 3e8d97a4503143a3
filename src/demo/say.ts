/** What development mode tells people, on a terminal with colours. */
export interface Say {
  line(text?: string): void;
  /** Shows what is being done, then, when it is, what came of it and how long it took. */
  step<T>(doing: string, work: () => Promise<T>, done: (result: T) => string): Promise<T>;
  bold(text: string): string;
  dim(text: string): string;
}

/** @param out null: it says nothing. */
export const createSay = (stream: NodeJS.WriteStream | null = process.stdout): Say => {
  const out = stream ?? {isTTY: false, write: () => true};
  const styled = (code: number, text: string) => (out.isTTY ? `\x1b[${code}m${text}\x1b[0m` : text);
  const dim = (text: string) => styled(2, text);
  return {
    line: (text = '') => void out.write(text ? `  ${text}\n` : '\n'),
    step: async (doing, work, done) => {
      const startedAt = performance.now();
      if (out.isTTY) out.write(`  ${dim(`… ${doing}`)}`);
      try {
        const result = await work();
        const seconds = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
        out.write(`${out.isTTY ? '\r\x1b[K' : ''}  ${styled(32, '✓')} ${done(result)}  ${dim(seconds)}\n`);
        return result;
      } catch (error) {
        if (out.isTTY) out.write('\r\x1b[K');
        throw error;
      }
    },
    bold: text => styled(1, text),
    dim,
  };
};

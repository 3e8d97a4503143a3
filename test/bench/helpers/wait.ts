export const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** Deferred work of a server, its client view records above all, ends within this time of its last poke. */
export const SETTLE_MS = 1000;

/** Ms of CPU that the tree of `server` spends on `work` and on what follows from it. */
export const cpuOf = async (server: {cpuMs(): number}, work: () => Promise<void>): Promise<number> => {
  const before = server.cpuMs();
  await work();
  await sleep(SETTLE_MS);
  return server.cpuMs() - before;
};

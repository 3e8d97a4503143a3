/** What an interrupted run has to end before it goes; newest last. One for the process, as its signals are. */
const open = new Set<() => Promise<void>>();

/** `end` is called when the run is interrupted, unless what is returned was called before. */
export const endOnInterrupt = (end: () => Promise<void>): (() => void) => {
  open.add(end);
  return () => void open.delete(end);
};

/** On SIGINT and SIGTERM servers are stopped and their files removed; then the process ends as one that was interrupted. */
export const watchInterrupts = (): void => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, async () => {
      for (const end of [...open].reverse()) await end().catch(() => {});
      process.exit(130);
    });
};

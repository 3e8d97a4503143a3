/** Watches that a load balancer goes on asking for `/keepalive`. */
export interface KeepaliveWatch {
  /** A request came. */
  readonly seen: () => void;
  readonly stop: () => void;
}

/**
 * Calls `onSilence` once when no request came for `timeoutMs`, counted from the first one; never without a timeout
 * (config-ops.md §1.3). A process that was itself too busy to hear looks again before it judges.
 */
export const watchKeepalive = (timeoutMs: number | undefined, onSilence: () => void): KeepaliveWatch => {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const seen = () => {
    if (timeoutMs === undefined || stopped) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const asked = timer;
      // What has arrived meanwhile is handled first.
      setImmediate(() => {
        if (stopped || timer !== asked) return;
        stopped = true;
        onSilence();
      });
    }, timeoutMs);
  };
  return {
    seen,
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
};

type Signal = 'METRICS' | 'TRACES';

/** Whether the environment asks for a signal to be sent (config-ops.md §4.2). Nothing is loaded otherwise. */
export const isExported = (signal: Signal, env: NodeJS.ProcessEnv): boolean => {
  const exporter = env[`OTEL_${signal}_EXPORTER`];
  if (env['OTEL_SDK_DISABLED'] === 'true' || exporter === 'none') return false;
  return Boolean(
    exporter || env['OTEL_EXPORTER_OTLP_ENDPOINT'] || env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`],
  );
};

export interface Exporter {
  /** Sends what is still waiting, but does not wait long for a collector that does not take it. */
  stop(): Promise<void>;
}

export interface Identity {
  readonly version: string;
  /** `dispatcher`, `replicator`, `syncer`. */
  readonly worker: string;
  readonly workerIndex: number;
}

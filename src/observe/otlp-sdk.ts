import {type Attributes, DiagLogLevel, diag, SpanKind} from '@opentelemetry/api';
import {OTLPMetricExporter} from '@opentelemetry/exporter-metrics-otlp-http';
import {OTLPTraceExporter} from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {MeterProvider, PeriodicExportingMetricReader} from '@opentelemetry/sdk-metrics';
import {BasicTracerProvider, BatchSpanProcessor} from '@opentelemetry/sdk-trace-base';
import type {Settled} from '../flow/stage.ts';
import type {DaemonInspection} from './inspection.ts';
import type {Log} from './log.ts';
import {METRICS} from './metric-table.ts';
import type {Exporter, Identity} from './otlp.ts';

// Loaded on demand by those who export: the SDK costs memory and start-up time.

const resource = ({version, worker, workerIndex}: Identity) =>
  defaultResource()
    .merge(
      resourceFromAttributes({
        'service.name': 'zerostream',
        'service.version': version,
        'process.worker': worker,
        'process.worker_index': workerIndex,
      }),
    )
    .merge(detectResources({detectors: [envDetector]}));

/**
 * Sends the metrics of all processes over OTLP, every `OTEL_METRIC_EXPORT_INTERVAL` ms (60 s), as read from one inspection
 * each time. Endpoints, headers and time-outs are the usual OTEL_* variables. A collector that is away costs a warning.
 */
export const exportMetrics = (
  identity: Identity,
  inspect: () => Promise<DaemonInspection>,
  log: Log,
): Exporter => {
  warnOfFailures(log);
  const every = Number(process.env['OTEL_METRIC_EXPORT_INTERVAL']) || 60_000;
  const provider = new MeterProvider({
    resource: resource(identity),
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter(),
        exportIntervalMillis: every,
        exportTimeoutMillis: Math.min(30_000, every),
      }),
    ],
  });
  const meter = provider.getMeter('zero', identity.version);
  const instruments = METRICS.map(metric => {
    const options = {description: metric.about, unit: metric.unit};
    return metric.kind === 'counter'
      ? meter.createObservableCounter(metric.name, options)
      : meter.createObservableGauge(metric.name, options);
  });
  meter.addBatchObservableCallback(async result => {
    const inspection = await inspect();
    for (const [i, metric] of METRICS.entries())
      for (const [value, labels] of metric.read(inspection)) result.observe(instruments[i]!, value, labels);
  }, instruments);
  return {stop: () => within(LAST_MS, provider.shutdown())};
};

/** Sends a span for every item that a stage settled; `OTEL_TRACES_SAMPLER` chooses which. @returns what takes them in. */
export const exportTraces = (
  identity: Identity,
  log: Log,
): Exporter & {readonly settled: (settled: Settled) => void} => {
  warnOfFailures(log);
  const provider = new BasicTracerProvider({
    resource: resource(identity),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  const tracer = provider.getTracer('zero', identity.version);
  return {
    settled: ({stage, startedMs, endedMs, bytes}) => {
      const attributes: Attributes = bytes ? {'zero.bytes': bytes} : {};
      tracer.startSpan(stage, {startTime: startedMs, kind: SpanKind.INTERNAL, attributes}).end(endedMs);
    },
    stop: () => within(LAST_MS, provider.shutdown()),
  };
};

/** A server that ends waits so long for a collector to take what is left: the SDK itself would try again for ten seconds and more. */
const LAST_MS = 2000;

/** Resolves when `done` is settled, whichever way, or the time is over. */
const within = (ms: number, done: Promise<unknown>): Promise<void> =>
  new Promise(resolve => {
    const timer = setTimeout(resolve, ms);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    done.then(end, end);
  });

/** The SDK's own complaints become warnings of ours, each text once. */
const warnOfFailures = (log: Log) => {
  const said = new Set<string>();
  const warn = (message: string) => {
    if (said.has(message) || said.size > 20) return;
    said.add(message);
    log.warn({reason: message.slice(0, 300)}, 'telemetry could not be exported');
  };
  const nothing = () => {};
  diag.setLogger(
    {error: warn, warn, info: nothing, debug: nothing, verbose: nothing},
    {logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true},
  );
};

import {Counter, Gauge, Registry} from 'prom-client';
import type {DaemonInspection} from './inspection.ts';
import {METRICS, type Metric} from './metric-table.ts';

/** Prometheus text of what an inspection says. */
export const metricsText = async (inspection: DaemonInspection): Promise<string> => {
  const registry = new Registry();
  for (const metric of METRICS) {
    const points = metric.read(inspection);
    if (points.length === 0) continue;
    const labelNames = [...new Set(points.flatMap(([, labels]) => Object.keys(labels)))];
    const options = {name: prometheusName(metric), help: metric.about, labelNames, registers: [registry]};
    if (metric.kind === 'counter') {
      const counter = new Counter(options);
      for (const [value, labels] of points) counter.inc(labels, value);
    } else {
      const gauge = new Gauge(options);
      for (const [value, labels] of points) gauge.set(labels, value);
    }
  }
  return registry.metrics();
};

const SUFFIXES: Readonly<Record<string, string>> = {s: '_seconds', By: '_bytes'};

/** As Prometheus exporters of OpenTelemetry write it: no dots or dashes, the unit at the end, counters with `_total`. */
const prometheusName = ({name, unit, kind}: Metric): string => {
  const plain = name.replaceAll(/[.-]/g, '_');
  const suffix = SUFFIXES[unit] ?? '';
  const withUnit = plain.endsWith(suffix) ? plain : `${plain}${suffix}`;
  return kind === 'counter' ? `${withUnit}_total` : withUnit;
};

import {createServer} from 'node:http';
import {pino} from 'pino';
import {expect, test, vi} from 'vitest';
import {exportTraces} from '../../src/observe/otlp-sdk.ts';
import {deployAnyone} from '../e2e/permissions.ts';
import {ddl, schema, zql} from '../e2e/schema.ts';
import {startDaemon} from '../helpers/daemon.ts';
import {createDatabase} from '../helpers/postgres.ts';
import {stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';

interface OtlpBody {
  readonly resourceMetrics?: readonly {
    readonly scopeMetrics: readonly {readonly metrics: readonly {readonly name: string}[]}[];
  }[];
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly {readonly spans: readonly {readonly name: string}[]}[];
  }[];
}

/** A collector: keeps the names of what it is sent. */
const collector = async () => {
  const metrics = new Set<string>();
  const spans = new Set<string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody;
      for (const {scopeMetrics} of body.resourceMetrics ?? [])
        for (const scope of scopeMetrics) for (const {name} of scope.metrics) metrics.add(name);
      for (const {scopeSpans} of body.resourceSpans ?? [])
        for (const scope of scopeSpans) for (const {name} of scope.spans) spans.add(name);
      response.writeHead(200, {'Content-Type': 'application/json'}).end('{}');
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  return {metrics, spans, url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close()};
};

test('metrics and spans of every process reach a collector; /metrics says the same', async () => {
  // The first to be here and the last to go: a server that ends sends what is left.
  using sink = await collector();
  await using db = await createDatabase(ddl);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_METRIC_EXPORT_INTERVAL: '300',
      OTEL_BSP_SCHEDULE_DELAY: '200',
    },
  });
  await deployAnyone(db, db.appID);
  await using client = stockClient({schema, server: daemon.url, storageKey: db.name});
  const labels = client.zero.materialize(zql.label);
  await client.zero.mutate.label.insert({id: 'l1', name: 'one'});
  await until(() => (labels.data as unknown[]).length === 1, 'the client is in sync');
  await until(
    () =>
      ['zero.sync.active-clients', 'zero.stage.items', 'zero.replica.db_size'].every(name =>
        sink.metrics.has(name),
      ),
    'metrics arrive',
  );
  await until(
    () =>
      ['replication.apply', 'query.advance', 'client-group.commit', 'mutations.execute'].every(name =>
        sink.spans.has(name),
      ),
    'spans of replicator and worker arrive',
  );
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  expect(text).toMatch(/^zero_sync_active_clients 1$/m);
  expect(text).toMatch(/^zero_stage_items_total\{process="replicator",stage="replication\.apply"\} \d+$/m);
  expect(text).toMatch(/^zero_replica_db_size_bytes \d+$/m);
});

test('a collector that is away costs one warning and nothing else', async () => {
  await using db = await createDatabase(ddl);
  await using daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://127.0.0.1:1/v1/metrics',
      OTEL_METRIC_EXPORT_INTERVAL: '200',
      OTEL_EXPORTER_OTLP_TIMEOUT: '150',
    },
  });
  await until(() => daemon.output().includes('telemetry could not be exported'), 'the warning is there');
  expect(await daemon.stop()).toBe(0);
});

test('a collector that never answers does not hold up the end', async () => {
  let asked = 0;
  const server = createServer(() => void asked++);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as {port: number};
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${port}`);
  // The SDK alone would wait longer than a test may take.
  vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '600000');
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '1');
  try {
    const traces = exportTraces({version: '1', worker: 'syncer', workerIndex: 0}, pino({enabled: false}));
    traces.settled({stage: 'query.advance', startedMs: Date.now(), endedMs: Date.now(), bytes: 0});
    await until(() => asked > 0, 'the collector is asked');
    await traces.stop();
  } finally {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  }
});

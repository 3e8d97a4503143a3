import {randomBytes} from 'node:crypto';
import {availableParallelism, networkInterfaces} from 'node:os';
import type {AppEndpoint, ZeroConfig} from './config.ts';
import {hostAddress} from './host-address.ts';
import type {OptionValues} from './option-table.ts';

/** What normalisation asks of the machine; tests give their own. */
export interface Machine {
  readonly parallelism: number;
  readonly randomID: () => string;
  /** The host under which other nodes reach this one. */
  readonly host: (preferences: readonly string[]) => string;
}

const thisMachine: Machine = {
  parallelism: availableParallelism(),
  randomID: () => `zs-${randomBytes(6).toString('hex')}`,
  host: preferences => hostAddress(networkInterfaces(), preferences) ?? 'localhost',
};

/** Groups that nothing in the daemon reads yet, kept for those who do later. */
type UnreadGroups = Pick<OptionValues, 'litestream' | 'shadowSync' | 'cloudEvent'>;

/**
 * Fills in the defaults that follow from other options or from the machine, and merges deprecated groups into the
 * current ones (config-ops.md §1.8, mutations-auth.md §6). The result may still break rules: see validateConfig.
 */
export const normalizeConfig = (
  values: OptionValues,
  env: NodeJS.ProcessEnv,
  machine: Machine = thisMachine,
): ZeroConfig & UnreadGroups => {
  const {push, getQueries, targetClientRowCount: _, ...rest} = values;
  const upstreamDb = values.upstream.db ?? '';
  const {changeStreamer} = values;
  const changePort = changeStreamer.port ?? nextPort(values.port, 1);
  const onEcs = Boolean(env.ECS_CONTAINER_METADATA_URI_V4);
  return {
    ...rest,
    upstream: {...values.upstream, db: upstreamDb},
    cvr: {...values.cvr, db: values.cvr.db ?? upstreamDb},
    change: {...values.change, db: values.change.db ?? upstreamDb},
    changeStreamer: {
      ...changeStreamer,
      port: changePort,
      address:
        changeStreamer.address ??
        `${machine.host(changeStreamer.discoveryInterfacePreferences)}:${changePort}`,
    },
    litestream: {...values.litestream, port: values.litestream.port ?? nextPort(values.port, 2)},
    taskID: values.taskID ?? machine.randomID(),
    numSyncWorkers: values.numSyncWorkers ?? defaultWorkers(values, machine.parallelism),
    yieldThresholdMs: Math.max(values.yieldThresholdMs, LEAST_YIELD_MS),
    keepaliveTimeoutMs: values.keepaliveTimeoutMs ?? (onEcs ? ECS_KEEPALIVE_MS : undefined),
    mutate: mergeMutate(push, values.mutate),
    query:
      values.query.url || !getQueries.url ? values.query : {...getQueries, timeoutMs: values.query.timeoutMs},
    development: env.NODE_ENV === 'development',
  };
};

const LEAST_YIELD_MS = 2;
const ECS_KEEPALIVE_MS = 20_000;

/** Port 0 lets the system choose, so what follows from it is chosen too. */
const nextPort = (port: number, step: number): number => (port === 0 ? 0 : port + step);

/**
 * One processor is left to the replicator. Where the connections allow fewer workers than processors, a server that
 * nobody told a number of workers gets fewer, instead of refusing to start because the machine is large.
 */
const defaultWorkers = (values: OptionValues, parallelism: number): number => {
  const allowed = values.enableCrudMutations
    ? Math.min(values.cvr.maxConns, values.upstream.maxConns)
    : values.cvr.maxConns;
  return Math.max(1, Math.min(parallelism - 1, allowed));
};

/** `mutate` laid over `push`, field by field; only the address of `push` wins, as it does in the original. */
const mergeMutate = (push: Omit<AppEndpoint, 'timeoutMs'>, mutate: AppEndpoint): AppEndpoint => ({
  url: push.url ?? mutate.url,
  apiKey: mutate.apiKey ?? push.apiKey,
  forwardCookies: mutate.forwardCookies || push.forwardCookies,
  allowedClientHeaders: mutate.allowedClientHeaders ?? push.allowedClientHeaders,
  allowedRequestHeaders: mutate.allowedRequestHeaders ?? push.allowedRequestHeaders,
  timeoutMs: mutate.timeoutMs,
});

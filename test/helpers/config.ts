import {join} from 'node:path';
import type {ZeroConfig} from '../../src/config/config.ts';
import {parseConfig} from '../../src/config/parse-config.ts';
import type {TestDatabase} from './postgres.ts';

/** A complete configuration for in-process tests against `db`; files go below `dir`. */
export const testConfig = (
  db: Pick<TestDatabase, 'url' | 'appID'>,
  dir: string,
  overrides: Partial<ZeroConfig> = {},
): ZeroConfig => ({
  ...parseConfig([], {
    NODE_ENV: 'development',
    ZERO_UPSTREAM_DB: db.url,
    ZERO_UPSTREAM_MAX_CONNS: '5',
    ZERO_CVR_MAX_CONNS: '5',
    ZERO_CHANGE_MAX_CONNS: '3',
    ZERO_APP_ID: db.appID,
    ZERO_PORT: '0',
    ZERO_TASK_ID: 'test',
    ZERO_NUM_SYNC_WORKERS: '1',
    ZERO_CHANGE_STREAMER_STARTUP_DELAY_MS: '0',
    ZERO_LOG_LEVEL: 'error',
  }).config,
  replica: {file: join(dir, 'replica.db'), vacuumIntervalHours: undefined},
  ...overrides,
});

import {describe, expect, test} from 'vitest';
import {isListed, optionEntries, withDefaults} from '../../src/config/option-table.ts';

/**
 * Every option of config-ops.md §1.3–1.7, written out by hand from there: flag · default as JSON (`-`: none) · marks
 * (H hidden, D deprecated). The environment name is the flag in capitals.
 */
const SPEC = `
upstream-db - | upstream-type "pg" H | upstream-max-conns 20 | upstream-max-conns-per-worker - H
upstream-pg-replication-slot-failover - | upstream-pg-stream-inbound-timeout-ms - | port 4848 | app-id "zero"
app-publications [] | shard-id - H | shard-num 0 H | replica-file "zero.db" | replica-vacuum-interval-hours - | task-id -
server-version - | admin-password - | auto-reset true | keepalive-timeout-ms - | lazy-startup false
enable-telemetry true | storage-db-tmp-dir - | target-client-row-count 20000 DH
mutate-url - | mutate-api-key - | mutate-forward-cookies false | mutate-allowed-client-headers -
mutate-allowed-request-headers - | query-url - | query-api-key - | query-forward-cookies false
query-allowed-client-headers - | query-allowed-request-headers - | push-url - D | push-api-key - D
push-forward-cookies false D | push-allowed-client-headers - D | push-allowed-request-headers - D | get-queries-url - D
get-queries-api-key - D | get-queries-forward-cookies false D | get-queries-allowed-client-headers - D
get-queries-allowed-request-headers - D
enable-crud-mutations true | per-user-mutation-limit-max - | per-user-mutation-limit-window-ms 60000
auth-jwk - D | auth-jwks-url - D | auth-secret - D | auth-issuer - D | auth-audience - D
auth-revalidate-interval-seconds 300 | auth-retransform-interval-seconds 300
cvr-db - | cvr-max-conns 30 | cvr-max-conns-per-worker - H | cvr-garbage-collection-inactivity-threshold-hours 48
cvr-garbage-collection-initial-interval-seconds 60 | cvr-garbage-collection-initial-batch-size 25
change-db - | change-max-conns 5 | change-statement-timeout-ms 20000 H | change-log-batch-size 2000 H
change-streamer-uri - | change-streamer-mode "dedicated" | change-streamer-port - | change-streamer-address - DH
change-streamer-protocol "ws" DH | change-streamer-discovery-interface-preferences ["eth","en"] H
change-streamer-startup-delay-ms 15000 | change-streamer-back-pressure-limit-heap-proportion 0.04
change-streamer-flow-control-consensus-timeout-proportion 2
change-streamer-flow-control-consensus-padding-seconds - DH
change-streamer-flow-control-slow-subscriber-grace-period-seconds 30
change-streamer-sqlite-change-log-mode "off" H | change-streamer-sqlite-change-log-read-percent 0 H
change-streamer-sqlite-change-log-cold-read-percent 0 H | change-streamer-sqlite-change-log-compare-percent 1 H
change-streamer-sqlite-change-log-retention-ms 60000 H | change-streamer-sqlite-change-log-read-batch-rows 1000 H
change-streamer-sqlite-change-log-purge-batch-rows 1000 H
change-streamer-sqlite-change-log-barrier-timeout-ms 300000 H | replication-lag-report-interval-ms 30000
num-sync-workers - | yield-threshold-ms 10 | enable-query-planner true | enable-query-covering true
query-hydration-stats - | sqlite-corruption-checks false H | log-level "info" | log-format "text"
log-slow-row-threshold 2 | log-slow-hydrate-threshold 100 | log-ivm-sampling 5000 | websocket-compression false
websocket-compression-options - | websocket-max-payload-bytes 10485760 | initial-sync-table-copy-workers 5
initial-sync-profile-copy - H | initial-sync-text-copy false | shadow-sync-enabled false | shadow-sync-interval-hours 12
shadow-sync-sample-rate 0.1 | shadow-sync-max-rows-per-table 10000 | cloud-event-sink-env -
cloud-event-extension-overrides-env -
litestream-backup-url - | litestream-executable - | litestream-executable-v5 - | litestream-restore-using-v5 true
litestream-backup-using-v5 false | litestream-config-path "./src/services/litestream/config.yml"
litestream-config-path-v5 "./src/services/litestream/config-v5.yml" | litestream-vfs-query-executable -
litestream-vfs-poll-interval-ms 15000 | litestream-vfs-poll-timeout-ms 10000 | litestream-vfs-log-file -
litestream-log-level "warn" | litestream-endpoint - | litestream-region - | litestream-port -
litestream-checkpoint-threshold-mb 40 | litestream-min-checkpoint-page-count - | litestream-max-checkpoint-page-count -
litestream-incremental-backup-interval-minutes 5 | litestream-incremental-backup-interval-seconds 15
litestream-snapshot-backup-interval-hours 4 | litestream-restore-parallelism 48 | litestream-multipart-concurrency 48
litestream-multipart-size 16777216
`
  .split(/[|\n]/)
  .map(line => line.trim())
  .filter(line => line !== '')
  .map(line => {
    const [flag = '', value = '', marks = ''] = line.split(' ');
    return {flag, value, hidden: marks.includes('H'), deprecated: marks.includes('D')};
  });

const entryOf = (flag: string) => optionEntries.find(entry => entry.flag === `--${flag}`);

describe('the table and the specification', () => {
  test('name the same options', () => {
    const original = optionEntries.filter(({option}) => !option.ours);
    expect(original.map(({flag}) => flag.slice(2)).sort()).toEqual(SPEC.map(({flag}) => flag).sort());
  });

  test.each(SPEC)(
    '--$flag has its environment name, default and standing',
    ({flag, value, hidden, deprecated}) => {
      const {env, option} = entryOf(flag)!;
      expect(env).toBe(`ZERO_${flag.toUpperCase().replaceAll('-', '_')}`);
      expect(option.default).toEqual(value === '-' ? undefined : JSON.parse(value));
      expect(Boolean(option.hidden)).toBe(hidden);
      expect(Boolean(option.deprecated)).toBe(deprecated);
    },
  );

  test('list the 92 options of the original', () => {
    expect(optionEntries.filter(entry => isListed(entry) && !entry.option.ours)).toHaveLength(92);
  });
});

test('runs of capitals are one word of a name', () => {
  const flagOf = (...path: string[]) => optionEntries.find(entry => entry.path.join() === path.join())?.flag;
  expect(flagOf('taskID')).toBe('--task-id');
  expect(flagOf('storageDBTmpDir')).toBe('--storage-db-tmp-dir');
  expect(flagOf('litestream', 'backupURL')).toBe('--litestream-backup-url');
  expect(flagOf('litestream', 'checkpointThresholdMB')).toBe('--litestream-checkpoint-threshold-mb');
  expect(flagOf('litestream', 'executableV5')).toBe('--litestream-executable-v5');
});

test('every option is described in whole sentences', () => {
  for (const {env, option} of optionEntries) expect(option.about, env).toMatch(/^\S.{6,}[.…]$/);
});

test('every default passes its own rule', () => {
  for (const {env, option} of optionEntries)
    if (option.default !== undefined && option.kind !== 'list')
      expect(option.read([String(option.default)]), env).toEqual({value: option.default});
});

test('databases, keys and passwords are secret', () => {
  const secrets = optionEntries.filter(({option}) => option.secret).map(({env}) => env);
  for (const {env} of optionEntries)
    if (/_(DB|API_KEY|PASSWORD|SECRET|JWK)$/.test(env)) expect(secrets).toContain(env);
});

test('a given value takes the place of the default, in its group', () => {
  const values = withDefaults(new Map<string, unknown>([['ZERO_APP_ID', 'shop']]));
  expect(values.app).toEqual({id: 'shop', publications: []});
  expect(values.port).toBe(4848);
});

import {choice, count, flag, number, text} from '../option.ts';

const none = {
  inert: 'nodes fetch the replica from the replication-manager, so no backup is needed',
} as const;
const size = {...none, ...count, min: 1} as const;

/** Backup of the replica to an object store by a side-car, which this daemon does without (config-ops.md §1.7). */
export const litestreamOptions = {
  litestream: {
    backupURL: text({
      ...none,
      about: 'Where backups of the replica go, usually s3://bucket/path.',
    }),
    executable: text({...none, about: 'Path of the litestream program, version 0.3.'}),
    executableV5: text({...none, about: 'Path of the litestream program, version 0.5.'}),
    restoreUsingV5: flag({
      ...none,
      default: true,
      about: 'Restore with version 0.5 when its program is configured.',
    }),
    backupUsingV5: flag({
      ...none,
      default: false,
      about: 'Back up with version 0.5, which also has to do the restoring.',
    }),
    configPath: text({
      ...none,
      default: './src/services/litestream/config.yml',
      about: 'Configuration file of version 0.3.',
    }),
    configPathV5: text({
      ...none,
      default: './src/services/litestream/config-v5.yml',
      about: 'Configuration file of version 0.5.',
    }),
    vfsQueryExecutable: text({...none, about: 'Program that asks a backup how far it reaches.'}),
    vfsPollIntervalMs: number({
      ...size,
      default: 15_000,
      about: 'Milliseconds between asking the backup how far it reaches.',
    }),
    vfsPollTimeoutMs: number({...size, default: 10_000, about: 'Milliseconds to wait for that answer.'}),
    vfsLogFile: text({...none, defaultText: 'standard output', about: 'Log file of that program.'}),
    logLevel: choice(['debug', 'info', 'warn', 'error'], {
      ...none,
      default: 'warn',
      about: 'Least important messages of litestream to log.',
    }),
    endpoint: text({...none, about: 'Address of an object store that speaks S3.'}),
    region: text({...none, about: 'Region of the object store.'}),
    port: number({
      ...none,
      ...count,
      max: 65_535,
      defaultText: 'port + 2',
      about: "Port of litestream's metrics.",
    }),
    checkpointThresholdMB: number({
      ...none,
      above: 0,
      default: 40,
      about: 'Megabytes of write-ahead log from which litestream moves it into the file (version 0.3).',
    }),
    minCheckpointPageCount: number({
      ...size,
      defaultText: 'threshold × 250',
      about: 'Pages from which litestream tries to do so (version 0.3).',
    }),
    maxCheckpointPageCount: number({
      ...none,
      ...count,
      defaultText: 'minimum × 10',
      about: 'Pages from which litestream insists on doing so (version 0.3). 0: never.',
    }),
    incrementalBackupIntervalMinutes: number({
      ...none,
      above: 0,
      default: 5,
      about: 'Minutes between incremental backups (version 0.3).',
    }),
    incrementalBackupIntervalSeconds: number({
      ...none,
      above: 0,
      default: 15,
      about: 'Seconds between incremental backups (version 0.5).',
    }),
    snapshotBackupIntervalHours: number({
      ...none,
      above: 0,
      default: 4,
      about: 'Hours between full backups.',
    }),
    restoreParallelism: number({...size, default: 48, about: 'Files fetched at the same time by a restore.'}),
    multipartConcurrency: number({...size, default: 48, about: 'Parts sent at the same time by a backup.'}),
    multipartSize: number({...size, default: 16 * 1024 * 1024, about: 'Size of such a part in bytes.'}),
  },
};

import {Presets, SingleBar} from 'cli-progress';
import type {Log} from '../observe/log.ts';
import type {SyncProgress} from '../replication/sync-progress.ts';

const EVERY_MS = 5000;
/** Syncs shorter than this pass without a bar. */
const QUIET_MS = 700;

/** SyncProgress of an initial sync: a bar on a terminal, otherwise a line every few seconds; always a line at the end. */
export const reportProgress = (log: Log): ((progress: SyncProgress) => void) => {
  let startedMs = 0;
  let lastMs = 0;
  let bar: SingleBar | null = null;
  return progress => {
    const now = Date.now();
    if (!startedMs) {
      startedMs = now;
      lastMs = now;
      log.info({tables: progress.tables, estimatedRows: progress.estimatedRows}, 'initial sync started');
    }
    const seconds = Math.max((now - startedMs) / 1000, 0.001);
    if (progress.phase === 'done') {
      bar?.stop();
      bar = null;
      log.info(
        {
          rows: progress.rows,
          seconds: Number(seconds.toFixed(2)),
          rowsPerSecond: Math.round(progress.rows / seconds),
        },
        'initial sync finished',
      );
      startedMs = 0;
    } else if (process.stderr.isTTY) {
      if (!bar && now - startedMs > QUIET_MS) {
        bar = new SingleBar(
          {
            format: 'initial sync {bar} {value}/{total} rows · {rate} rows/s · {eta_formatted} left · {name}',
            stopOnComplete: false,
          },
          Presets.shades_classic,
        );
        bar.start(Math.max(progress.estimatedRows, progress.rows, 1), 0, {name: progress.name, rate: 0});
      }
      bar?.update(progress.rows, {
        rate: Math.round(progress.rows / seconds),
        name: progress.phase === 'index' ? `index ${progress.name}` : progress.name,
      });
    } else if (now - lastMs > EVERY_MS) {
      lastMs = now;
      log.info(
        {
          rows: progress.rows,
          estimatedRows: progress.estimatedRows,
          bytes: progress.bytes,
          rowsPerSecond: Math.round(progress.rows / seconds),
          ...(progress.estimatedRows > progress.rows
            ? {
                secondsLeft: Math.round(
                  ((progress.estimatedRows - progress.rows) / Math.max(progress.rows, 1)) * seconds,
                ),
              }
            : {}),
          phase: progress.phase,
          at: progress.name,
        },
        'initial sync',
      );
    }
  };
};

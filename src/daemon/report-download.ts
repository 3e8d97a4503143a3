import {Presets, SingleBar} from 'cli-progress';
import type {FetchProgress} from '../nodes/fetch-snapshot.ts';
import type {Log} from '../observe/log.ts';

const EVERY_MS = 5000;
const MB = 1e6;

/** Progress of a replica that is fetched from another node: a bar on a terminal, otherwise a line every few seconds. */
export const reportDownload = (log: Log): ((progress: FetchProgress) => void) => {
  let bar: SingleBar | null = null;
  let startedMs = 0;
  let startedAt = 0;
  let toldMs = 0;
  const end = () => {
    bar?.stop();
    bar = null;
    startedMs = 0;
  };
  return ({phase, bytes, totalBytes}) => {
    if (phase !== 'download') return end();
    const now = Date.now();
    if (!startedMs) {
      startedMs = toldMs = now;
      startedAt = bytes;
      log.info({bytes, totalBytes}, 'fetching the replica');
    }
    const perSecond = (bytes - startedAt) / Math.max((now - startedMs) / 1000, 0.001);
    if (process.stderr.isTTY) {
      if (!bar) {
        bar = new SingleBar(
          {format: 'fetching the replica {bar} {value}/{total} MB · {rate} MB/s · {eta_formatted} left'},
          Presets.shades_classic,
        );
        bar.start(Math.ceil(totalBytes / MB), 0, {rate: 0});
      }
      bar.update(Math.floor(bytes / MB), {rate: (perSecond / MB).toFixed(1)});
    } else if (now - toldMs > EVERY_MS) {
      toldMs = now;
      log.info(
        {
          bytes,
          totalBytes,
          bytesPerSecond: Math.round(perSecond),
          secondsLeft: Math.round((totalBytes - bytes) / Math.max(perSecond, 1)),
        },
        'fetching the replica',
      );
    }
  };
};

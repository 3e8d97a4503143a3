import type {LogEntry} from './entries.ts';

/**
 * Entries as lines: of a COPY into the change log, in its CSV form with control characters for delimiter and quote, which
 * JSON never holds raw, so that nothing needs to be escaped; and of the stream to other nodes. A buffer, since text that
 * waits would be copied by every garbage collection.
 */
export const logLines = (entries: readonly LogEntry[]): Buffer => {
  let text = '';
  for (const {watermark, pos, change, precommit} of entries)
    text += `${watermark}\u0002${pos}\u0002${change}\u0002${precommit ?? ''}\n`;
  return Buffer.from(text);
};

/** The inverse. @throws RangeError if the text is none of whole lines. */
export const parseLogLines = (lines: Buffer): LogEntry[] => {
  const entries: LogEntry[] = [];
  const text = lines.toString();
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf('\n', at);
    const afterWatermark = text.indexOf('\u0002', at);
    const afterPos = text.indexOf('\u0002', afterWatermark + 1);
    const afterChange = text.indexOf('\u0002', afterPos + 1);
    if (end < 0 || afterWatermark < 0 || afterPos < 0 || afterChange < 0 || afterChange > end)
      throw new RangeError('not lines of a change log');
    entries.push({
      watermark: text.slice(at, afterWatermark),
      pos: Number(text.slice(afterWatermark + 1, afterPos)),
      change: text.slice(afterPos + 1, afterChange),
      precommit: end === afterChange + 1 ? null : text.slice(afterChange + 1, end),
    });
    at = end + 1;
  }
  return entries;
};

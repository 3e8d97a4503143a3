import {type Logger, pino} from 'pino';

export type Log = Logger;

/**
 * The process's logger. `json`: one object per line; `text`: one readable line. Never log row values, claims, mutation
 * arguments or PostgreSQL's `detail`.
 */
export const createLog = (
  options: {readonly level: string; readonly format: 'text' | 'json'},
  context: Readonly<Record<string, unknown>> = {},
): Log => {
  const base = {pid: process.pid, ...context};
  const serializers = {err: plainError};
  if (options.format === 'json')
    return pino({
      level: options.level,
      base,
      serializers,
      messageKey: 'message',
      formatters: {level: label => ({level: label.toUpperCase()})},
      timestamp: pino.stdTimeFunctions.isoTime,
    });
  return pino(
    {level: options.level, base, serializers},
    {write: line => process.stdout.write(textLine(line))},
  );
};

/**
 * pino's own form, in which message and stack have those of all causes, without what else an error carries: nested objects are
 * a burden to who collects logs, and PostgreSQL's `detail` and `where` hold row values.
 */
const plainError = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error;
  const {type, message, stack} = pino.stdSerializers.err(error);
  const {code} = error as {code?: unknown};
  return {type, ...(typeof code === 'string' ? {code} : {}), message, stack};
};

/** A logger that says nothing, for tests. */
export const silentLog: Log = pino({level: 'silent'});

const COLOURS: Record<number, string> = {20: '\x1b[90m', 40: '\x1b[33m', 50: '\x1b[31m', 60: '\x1b[31m'};
const LEVELS: Record<number, string> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

const textLine = (line: string): string => {
  const {time, level, msg, err, ...context} = JSON.parse(line) as {
    time: number;
    level: number;
    msg?: string;
    err?: {message?: string; code?: string; stack?: string};
  } & Record<string, unknown>;
  const fields = Object.entries(context)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  const error = err ? ` · ${err.code ? `${err.code} ` : ''}${err.stack ?? err.message ?? ''}` : '';
  const colour = process.stdout.isTTY ? COLOURS[level] : undefined;
  const text = `${new Date(time).toISOString()} ${LEVELS[level] ?? level} ${fields} ${msg ?? ''}${error}`;
  return `${colour ? `${colour}${text}\x1b[0m` : text}\n`;
};

import {choice, count, flag, number} from '../option.ts';

/** Logging and the copying of tables (config-ops.md §1.6). */
export const observeOptions = {
  log: {
    level: choice(['debug', 'info', 'warn', 'error'], {
      default: 'info',
      about: 'Least important messages to log.',
    }),
    format: choice(['text', 'json'], {
      default: 'text',
      about: 'text for people, json (one object per line) for log collectors.',
    }),
    slowRowThreshold: number({
      min: 0,
      default: 2,
      later: 'single rows are not timed, as queries read them in sets',
      about: 'Milliseconds from which fetching a single row is reported as slow.',
    }),
    slowHydrateThreshold: number({
      min: 0,
      default: 100,
      about: "Milliseconds from which a query's first answer is reported as slow.",
    }),
    ivmSampling: number({
      ...count,
      min: 1,
      default: 5000,
      later: 'every advance is measured',
      about: 'Of this many steps of query maintenance, look closely at one.',
    }),
  },
  initialSync: {
    tableCopyWorkers: number({
      ...count,
      min: 1,
      default: 5,
      about:
        'Connections that copy tables at the same time in the initial sync. Each takes about 10 MB of memory and one connection to upstream.',
    }),
    profileCopy: flag({
      hidden: true,
      later: 'no profile is written',
      about: 'Write a processor profile of the copying.',
    }),
    textCopy: flag({
      default: false,
      inert: 'tables are always copied in text form',
      about: "Copy tables in PostgreSQL's text form instead of the binary one.",
    }),
  },
  shadowSync: {
    enabled: flag({
      default: false,
      later: 'no trial runs are made',
      about:
        'Try out the initial sync now and then on a sample of the data, to find trouble before it is needed.',
    }),
    intervalHours: number({
      above: 0,
      default: 12,
      later: 'no trial runs are made',
      about: 'Hours between such trials.',
    }),
    sampleRate: number({
      above: 0,
      max: 1,
      default: 0.1,
      later: 'no trial runs are made',
      about: 'Share of the rows to try.',
    }),
    maxRowsPerTable: number({
      ...count,
      min: 1,
      default: 10_000,
      later: 'no trial runs are made',
      about: 'Most rows to try of a table.',
    }),
  },
};

/** A figure of the table: what is measured and what it should be. */
export interface Target {
  readonly work: string;
  readonly unit: 'ms' | 's' | 'MB' | 'rows/s' | '/s';
  readonly better: 'less' | 'more';
  /** How many times better than the peer, in the same run; null: the peer is not measured, or no ratio was set. */
  readonly ratio: number | null;
  /** In `unit`: what the ratio came to on the machine where the targets were set; null: no target was set. */
  readonly absolute: number | null;
}

const less = (work: string, unit: Target['unit'], ratio: number | null, absolute: number): Target => ({
  work,
  unit,
  better: 'less',
  ratio,
  absolute,
});

const more = (work: string, unit: Target['unit'], ratio: number, absolute: number): Target => ({
  work,
  unit,
  better: 'more',
  ratio,
  absolute,
});

/** A figure that is measured without a target. */
const shown = (work: string, unit: Target['unit']): Target => ({
  work,
  unit,
  better: 'more',
  ratio: null,
  absolute: null,
});

/** Every figure that a bench may report, in the order of the table. */
export const TARGETS = {
  T1: less('empty database: start until the first query is answered', 's', 5, 1.5),
  T2: less('idle memory of the process tree (PSS)', 'MB', 1 / 0.3, 200),
  T3: more('initial sync, net of start', 'rows/s', 1.8, 200_000),
  'T3/copy': shown('… as a share of COPY to nowhere (peer column: that limit)', 'rows/s'),
  'T3/import': more(
    '… as a share of COPY piped into sqlite3 .import (peer column: that limit)',
    'rows/s',
    0.8,
    200_000,
  ),
  T4: less('peak memory during initial sync (PSS)', 'MB', 1 / 0.38, 350),
  'apply/tx': shown('sustained apply: single-row transactions, client within 1 s', '/s'),
  'apply/rows': shown('sustained apply: rows in transactions of 500, client within 1 s', 'rows/s'),
  T5: less('cold hydration p50: page of 100, filtered and ordered', 'ms', 4, 8),
  T6: less('… 10,000 rows unbounded', 'ms', 5, 120),
  T7: less('… junction EXISTS, ordered, limit 100', 'ms', 9, 15),
  T8: less('… 50 issues with creator, labels, comments with author', 'ms', 5, 20),
  T9: less('… OR of two EXISTS, ordered, limit 100', 'ms', 4, 10),
  'T10 p50': less('upstream commit → poke, group with ten queries', 'ms', 2.5, 6),
  'T10 p99': less('…', 'ms', 2.5, 15),
  T11: more('sustained single-row transactions, client within 1 s', '/s', 7, 5000),
  T12: less('server CPU per such transaction', 'ms', 7, 0.3),
  T13: less('200 groups, same five queries, all hydrated', 's', 20, 2.5),
  T14: less('memory per such group', 'MB', 50, 0.3),
  T15: less('one change at the last of 200 groups, p50', 'ms', 19, 30),
  T16: less('server CPU for that change', 'ms', 34, 20),
  'T17 hydrated': less('2,000 such groups hydrated (peer: 500)', 's', 4.5, 20),
  'T17 change': less('one change at the last of them (peer: 500)', 'ms', 4, 250),
  T18: less('200 groups with id = own: CPU of an unrelated change', 'ms', 40, 1.5),
  'T18 5000': less('… 5,000 groups', 'ms', null, 1.5),
  T19: less('… CPU of a change that concerns one of 200', 'ms', 34, 5),
  'T20 p50': less('CRUD mutation → poke with its lastMutationID', 'ms', 2.3, 6),
  'T20 p99': less('…', 'ms', 2.3, 15),
  'T21 one': more('burst of 500 mutations from one client', '/s', 9, 1500),
  'T21 ten': more('… from ten clients', '/s', 15, 3000),
  T22: less('reconnect with cookie after 1,000 changes to 10,000 rows', 'ms', 4, 80),
  'T23 ready': less('restart until ready', 's', 4.8, 1.5),
  'T23 reconnect': less('… then that reconnect', 's', 5, 0.3),
  T24: less('replicator memory over idle, transaction of 2,000,000 rows', 'MB', null, 300),
  T25: less('transaction of 200,000 rows: commit → visible at a client', 's', 10, 8),
} as const satisfies Record<string, Target>;

export type FigureID = keyof typeof TARGETS;

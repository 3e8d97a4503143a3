import type {GraphInspection, GroupInspection} from './inspection.ts';

/** Of hundreds of graphs or groups no more are shown: those first that cost most, or that have most to wait for. */
export const MOST_SHOWN = 100;

export const costliestFirst = <T extends {readonly graph: GraphInspection}>(graphs: readonly T[]): T[] =>
  graphs.toSorted((a, b) => costMs(b.graph) - costMs(a.graph));

const costMs = ({hydrationMs, advanceMs}: GraphInspection): number => hydrationMs + advanceMs;

export const mostBehindFirst = (groups: readonly GroupInspection[]): GroupInspection[] =>
  groups.toSorted((a, b) => unsentBytes(b) - unsentBytes(a) || b.pendingRows - a.pendingRows);

/** What its clients have been sent and have not taken yet. */
export const unsentBytes = ({clients}: GroupInspection): number =>
  clients.reduce((sum, {bufferedBytes}) => sum + bufferedBytes, 0);

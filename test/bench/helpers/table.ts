import type {Kind} from './bench-server.ts';
import {median} from './statistics.ts';
import {type FigureID, TARGETS, type Target} from './targets.ts';

/** Every round's value of every figure, by who was measured. */
export class Results {
  readonly #values = new Map<string, number[]>();

  add(kind: Kind, id: FigureID, value: number): void {
    const key = `${kind}/${id}`;
    const values = this.#values.get(key);
    if (values) values.push(value);
    else this.#values.set(key, [value]);
  }

  /** Median of the rounds; null if it was not measured. */
  of(kind: Kind, id: FigureID): number | null {
    const values = this.#values.get(`${kind}/${id}`);
    return values ? median(values) : null;
  }

  rounds(kind: Kind, id: FigureID): readonly number[] {
    return this.#values.get(`${kind}/${id}`) ?? [];
  }
}

const COLUMNS = ['id', 'work', 'peer', 'ours', 'ratio', 'target', 'met?'] as const;

/** A Markdown table of everything measured, in the order of the targets. */
export const renderTable = (results: Results): string => {
  const rows = (Object.entries(TARGETS) as [FigureID, Target][]).flatMap(([id, target]) => {
    const ours = results.of('ours', id);
    const peer = results.of('peer', id);
    return ours === null && peer === null ? [] : [cells(id, target, ours, peer)];
  });
  const widths = COLUMNS.map((name, i) => Math.max(name.length, ...rows.map(row => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(COLUMNS), `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join(
    '\n',
  );
};

const cells = (id: FigureID, target: Target, ours: number | null, peer: number | null): string[] => {
  const ratio = ours === null || peer === null ? null : target.better === 'less' ? peer / ours : ours / peer;
  const sign = target.better === 'less' ? '≤' : '≥';
  const absolute = target.absolute === null ? '' : `${sign} ${format(target.absolute, target.unit)}`;
  return [
    id,
    target.work,
    peer === null ? '' : format(peer, target.unit),
    ours === null ? '' : format(ours, target.unit),
    ratio === null ? '' : `${short(ratio)}×`,
    target.ratio === null ? absolute : `≥ ${short(target.ratio)}× (${absolute})`,
    verdict(target, ours, ratio),
  ];
};

/** By the ratio where the peer was measured in the same run; else by the absolute figure, and then it says so. */
const verdict = (target: Target, ours: number | null, ratio: number | null): string => {
  if (ours === null || target.absolute === null) return '';
  if (ratio !== null && target.ratio !== null) return ratio >= target.ratio ? 'yes' : 'no';
  return (target.better === 'less' ? ours <= target.absolute : ours >= target.absolute)
    ? 'yes, absolute'
    : 'no, absolute';
};

const format = (value: number, unit: Target['unit']): string => `${short(value)} ${unit}`;

const short = (value: number): string =>
  Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString('en-US')
    : String(Number(value.toPrecision(Math.abs(value) >= 100 ? 3 : 2)));

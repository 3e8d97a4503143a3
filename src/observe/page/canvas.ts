import type {Lane, StageFlow} from '../flow.ts';
import type {Box, PlacedFollower, PlacedStage, PlacedStore, PlacedWire} from './placed.ts';
import {headOf, type Point, rounded} from './wire-path.ts';

/** Width of the picture in its own units; it is scaled to the window. */
export const WIDTH = 1340;

export const CARD = {width: 124, height: 88} as const;
export const PILL = {width: 124, height: 40} as const;
export const END_WIDTH = 108;
export const CLIENTS = WIDTH - 20 - END_WIDTH;
const ENDS = {
  postgres: {title: 'PostgreSQL', x: 20},
  'replication-manager': {title: 'manager', x: 20},
  clients: {title: 'clients', x: CLIENTS},
} as const;

/** What is placed so far, and the ways to place more. */
export class Canvas {
  readonly lanes: (Box & {readonly process: string})[] = [];
  readonly stages: PlacedStage[] = [];
  readonly stores: PlacedStore[] = [];
  readonly followers: PlacedFollower[] = [];
  readonly wires: PlacedWire[] = [];

  /** What stands beside the lanes. */
  end(store: keyof typeof ENDS, y: number, height: number): void {
    const {title, x} = ENDS[store];
    this.stores.push({store, title, x, y, width: END_WIDTH, height});
  }

  /** The stages of a chain beside each other, `x` being the place of each. */
  row(
    {process, chains}: Lane,
    chain: string,
    y: number,
    x: (i: number) => number,
    size: {readonly width: number; readonly height: number} = CARD,
  ): PlacedStage[] {
    const stages = chains.find(({name}) => name === chain)?.stages ?? [];
    return stages.map((stage, i) => this.put(process, stage, {x: x(i), y, ...size}));
  }

  put(process: string, stage: StageFlow, box: Box): PlacedStage {
    const placed = {...box, key: `${process}/${stage.name}`, process, small: box.height === PILL.height};
    this.stages.push(placed);
    return placed;
  }

  /** Arrows from each to the next, whichever way the row runs. */
  chain(stages: readonly PlacedStage[]): void {
    for (const [i, to] of stages.entries()) {
      const from = stages[i - 1];
      if (!from) continue;
      const leftwards = to.x < from.x;
      this.wire(
        [
          [leftwards ? from.x : from.x + from.width, middle(from)],
          [leftwards ? to.x + to.width : to.x, middle(to)],
        ],
        to.key,
        'in',
      );
    }
  }

  /** An arrow down from a stage into a store. */
  into(stage: string, store: PlacedStore['store']): void {
    const from = named(this.stages, stage);
    if (from)
      this.wire(
        [
          [center(from), from.y + from.height],
          [center(from), this.store(store).y],
        ],
        from.key,
        'out',
      );
  }

  store(store: PlacedStore['store']): PlacedStore {
    const found = this.stores.find(placed => placed.store === store);
    if (!found) throw new Error(`${store} has no place`);
    return found;
  }

  wire(points: readonly Point[], key: string, side: PlacedWire['side'], to?: PlacedWire['to']): void {
    this.wires.push({d: rounded(points), head: headOf(points), key, side, ...(to ? {to} : {})});
  }
}

export const middle = ({y, height}: Box): number => y + height / 2;
export const center = ({x, width}: Box): number => x + width / 2;
export const named = (stages: readonly PlacedStage[], name: string): PlacedStage | undefined =>
  stages.find(({key}) => key.endsWith(`/${name}`));

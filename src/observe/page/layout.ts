import type {Lane, StageFlow} from '../flow.ts';
import {headOf, type Point, rounded} from './wire-path.ts';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A stage's place; `key` is its process and name. */
export interface PlacedStage extends Box {
  readonly key: string;
  readonly process: string;
  /** A pill instead of a card: for what runs beside the way from the slot to the poke. */
  readonly small: boolean;
}

export interface PlacedStore extends Box {
  readonly store: 'postgres' | 'replication-manager' | 'replica' | 'change-log' | 'view-records' | 'clients';
  readonly title: string;
}

export interface PlacedWire {
  /** SVG paths: the line, and the head at its end. */
  readonly d: string;
  readonly head: string;
  /** The stage whose rate it has, and which of its two. */
  readonly key: string;
  readonly side: 'in' | 'out';
  /** Flows only while a node follows that is served in this way. */
  readonly to?: 'live' | 'catching-up';
}

/** A node that follows this one; `more` stands for all that have no place of their own. */
export interface PlacedFollower extends Box {
  /** Its place among the subscribers. */
  readonly index: number;
  readonly more: boolean;
}

/** What of other nodes is in the picture. */
export interface Neighbours {
  /** Changes come from another node in the place of the slot. */
  readonly follows: boolean;
  /** Number of nodes that follow this one. */
  readonly followers: number;
}

export interface Layout {
  readonly height: number;
  readonly lanes: readonly (Box & {readonly process: string})[];
  readonly stages: readonly PlacedStage[];
  readonly stores: readonly PlacedStore[];
  readonly followers: readonly PlacedFollower[];
  readonly wires: readonly PlacedWire[];
}

/** Width of the picture in its own units; it is scaled to the window. */
export const WIDTH = 1340;

const CARD = {width: 124, height: 88} as const;
const PILL = {width: 124, height: 40} as const;
const STORE_HEIGHT = 50;
const COLUMNS = 7;
const PITCH = 148;
const FIRST = 164;
/** Between PostgreSQL and the lanes: where lines go down. */
const BUS = 138;
const END_WIDTH = 108;
const CLIENTS = WIDTH - 20 - END_WIDTH;
/** The replica stands below the stage that writes it. */
const REPLICA_COLUMN = 3;
const ENDS = {
  postgres: {title: 'PostgreSQL', x: 20},
  'replication-manager': {title: 'manager', x: 20},
  clients: {title: 'clients', x: CLIENTS},
} as const;
const MAX_FOLLOWERS = 12;
const FOLLOWER_PITCH = STORE_HEIGHT + 10;

const column = (i: number): number => FIRST + i * PITCH;

/**
 * Where everything of the picture stands: PostgreSQL at the left and the clients at the right over the whole height, a lane
 * for the replicator, below it what is stored, then a lane for each worker, in which writes go back from right to left. The
 * node that is followed stands in PostgreSQL's place beside the replicator, and those that follow in the clients'.
 */
export const layoutOf = (lanes: readonly Lane[], neighbours: Neighbours): Layout => {
  const builder = new Builder(neighbours);
  const replicator = lanes.find(({process}) => process === 'replicator');
  let y = 16;
  if (replicator) y = builder.replicator(replicator, y);
  y = builder.stores(
    y + 22,
    lanes.some(lane => lane !== replicator),
  );
  const firstWorker = y + 34;
  let bottom = y;
  for (const lane of lanes) if (lane !== replicator) bottom = builder.worker(lane, bottom + 34) - 12;
  return builder.finish(firstWorker, bottom + 12);
};

class Builder {
  readonly #lanes: Layout['lanes'][number][] = [];
  readonly #stages: PlacedStage[] = [];
  readonly #stores: PlacedStore[] = [];
  readonly #followers: PlacedFollower[] = [];
  readonly #wires: PlacedWire[] = [];
  readonly #neighbours: Neighbours;

  constructor(neighbours: Neighbours) {
    this.#neighbours = neighbours;
  }

  replicator(lane: Lane, top: number): number {
    const {process} = lane;
    const {follows, followers} = this.#neighbours;
    // Where the slot's stages have them: apply over the replica.
    const main = follows
      ? this.#row(lane, 'change-stream', top + 60, i => column(REPLICA_COLUMN + i))
      : this.#row(lane, 'replication', top + 60, i => column(i));
    const beside = top + 60 + CARD.height + 26;
    const copying = this.#row(lane, 'initial-sync', beside, i => column(i), PILL);
    const sending = follows
      ? []
      : this.#row(lane, 'change-stream', beside, i => column(COLUMNS - 1 - i), PILL);
    const followersEnd = top + Math.min(followers, MAX_FOLLOWERS) * FOLLOWER_PITCH;
    const stagesEnd =
      copying.length + sending.length ? beside + PILL.height + 18 : top + 60 + CARD.height + 18;
    const bottom = Math.max(stagesEnd, followersEnd);
    this.#lanes.push({process, x: 148, y: top, width: column(COLUMNS) - 148 - 8, height: bottom - top});
    this.#chain(main);
    this.#chain(copying);
    for (const first of [main[0], copying[0]])
      if (first)
        this.#wire(
          [
            [128, middle(first)],
            [first.x, middle(first)],
          ],
          first.key,
          'in',
        );
    const back = named(main, follows ? 'change-stream.consumed' : 'replication.ack');
    if (back) {
      const over = back.y - 18;
      this.#wire(
        [
          [center(back), back.y],
          [center(back), over],
          [128, over],
        ],
        back.key,
        'out',
      );
    }
    if (follows) this.#end('replication-manager', top, bottom - top);
    const [send] = sending;
    if (send) {
      const tee = named(main, 'replication.tee');
      if (tee)
        this.#wire(
          [
            [tee.x + tee.width - 24, tee.y + tee.height],
            [tee.x + tee.width - 24, middle(send)],
            [send.x, middle(send)],
          ],
          send.key,
          'in',
          'live',
        );
      this.#fanOut(send, top);
    }
    return bottom;
  }

  /** A box for each node that follows, and for the last ones together where they are many. */
  #fanOut(send: PlacedStage, top: number): void {
    const {followers} = this.#neighbours;
    const shown = Math.min(followers, MAX_FOLLOWERS);
    const turn = CLIENTS - 14;
    for (let index = 0; index < shown; index++) {
      const box = {
        x: CLIENTS,
        y: top + index * FOLLOWER_PITCH,
        width: END_WIDTH,
        height: STORE_HEIGHT,
        index,
        more: index === shown - 1 && followers > shown,
      };
      this.#followers.push(box);
      this.#wire(
        [
          [send.x + send.width, middle(send)],
          [turn, middle(send)],
          [turn, middle(box)],
          [box.x, middle(box)],
        ],
        send.key,
        'out',
      );
    }
  }

  stores(y: number, workers: boolean): number {
    const place = (store: PlacedStore['store'], title: string, at: number) =>
      this.#stores.push({store, title, x: column(at), y, width: CARD.width, height: STORE_HEIGHT});
    place('replica', 'replica', REPLICA_COLUMN);
    if (!this.#neighbours.follows) place('change-log', 'change log', REPLICA_COLUMN + 1);
    if (workers) place('view-records', 'view records', REPLICA_COLUMN + 2);
    this.#into('replication.apply', 'replica');
    this.#into('change-stream.apply', 'replica');
    this.#into('replication.tee', 'change-log');
    const send = named(this.#stages, 'change-stream.send');
    if (send) {
      const log = this.#store('change-log');
      const over = log.y - 12;
      this.#wire(
        [
          [log.x + log.width - 24, log.y],
          [log.x + log.width - 24, over],
          [center(send), over],
          [center(send), send.y + send.height],
        ],
        send.key,
        'in',
        'catching-up',
      );
    }
    const index = named(this.#stages, 'initial-sync.index');
    const replica = this.#store('replica');
    if (index)
      this.#wire(
        [
          [index.x + index.width, middle(index)],
          [replica.x + 24, middle(index)],
          [replica.x + 24, replica.y],
        ],
        index.key,
        'out',
      );
    return y + STORE_HEIGHT;
  }

  worker(lane: Lane, top: number): number {
    const {process} = lane;
    const y = top + 46;
    const query = this.#row(lane, 'query', y, i => column(i));
    const group = this.#row(lane, 'client-group', y, i => column(query.length + i));
    const back = y + CARD.height + 30;
    // Writes come from the clients, so this row runs from right to left.
    const writes = this.#row(lane, 'mutations', back, i => column(COLUMNS - 1 - i));
    this.#chain([...query, ...group]);
    this.#chain(writes);
    const known = new Set([...query, ...group, ...writes].map(({key}) => key));
    const room = COLUMNS - Math.max(writes.length, 3);
    const rest = lane.chains.flatMap(({stages}) => stages).filter(s => !known.has(`${process}/${s.name}`));
    rest.forEach((stage, i) => {
      this.#put(process, stage, {
        x: column(i % room),
        y: back + Math.floor(i / room) * (PILL.height + 10),
        ...PILL,
      });
    });
    const lines = Math.ceil(rest.length / room);
    const bottom = Math.max(back + CARD.height, back + lines * (PILL.height + 10)) + 32;
    this.#lanes.push({process, x: 148, y: top, width: column(COLUMNS) - 148 - 8, height: bottom - top});
    const replica = this.#store('replica');
    const first = query[0];
    if (first) {
      const under = replica.y + replica.height + 16;
      this.#wire(
        [
          [center(replica), replica.y + replica.height],
          [center(replica), under],
          [BUS, under],
          [BUS, middle(first)],
          [first.x, middle(first)],
        ],
        first.key,
        'in',
      );
    }
    const commit = named(group, 'client-group.commit');
    if (commit) {
      const records = this.#store('view-records');
      const beside = column(5) + CARD.width + 12;
      this.#wire(
        commit.x === records.x && this.#lanes.filter(({process: p}) => p !== 'replicator').length === 1
          ? [
              [center(commit), commit.y],
              [center(commit), records.y + records.height],
            ]
          : [
              [center(commit), commit.y],
              [center(commit), commit.y - 12],
              [beside, commit.y - 12],
              [beside, middle(records)],
              [records.x + records.width, middle(records)],
            ],
        commit.key,
        'out',
      );
    }
    const poke = named(group, 'client-group.poke');
    if (poke)
      this.#wire(
        [
          [poke.x + poke.width, middle(poke)],
          [CLIENTS, middle(poke)],
        ],
        poke.key,
        'out',
      );
    const limit = named(writes, 'mutations.limit');
    if (limit)
      this.#wire(
        [
          [CLIENTS, middle(limit)],
          [limit.x + limit.width, middle(limit)],
        ],
        limit.key,
        'in',
      );
    const execute = named(writes, 'mutations.execute');
    if (execute) {
      const under = bottom - 14;
      this.#wire(
        [
          [center(execute), execute.y + execute.height],
          [center(execute), under],
          [128, under],
        ],
        execute.key,
        'out',
      );
    }
    const answer = named(writes, 'mutations.answer');
    if (answer)
      this.#wire(
        [
          [center(answer), answer.y],
          [center(answer), answer.y - 15],
          [CLIENTS, answer.y - 15],
        ],
        answer.key,
        'out',
      );
    return bottom;
  }

  finish(firstWorker: number, bottom: number): Layout {
    const workers = this.#lanes.some(({process}) => process !== 'replicator');
    const top = this.#neighbours.follows ? firstWorker : 16;
    if (workers || !this.#neighbours.follows) this.#end('postgres', top, bottom - 12 - top);
    if (workers) this.#end('clients', firstWorker, bottom - 12 - firstWorker);
    return {
      height: bottom + 4,
      lanes: this.#lanes,
      stages: this.#stages,
      stores: this.#stores,
      followers: this.#followers,
      wires: this.#wires,
    };
  }

  /** What stands beside the lanes. */
  #end(store: keyof typeof ENDS, y: number, height: number): void {
    const {title, x} = ENDS[store];
    this.#stores.push({store, title, x, y, width: END_WIDTH, height});
  }

  #row(
    {process, chains}: Lane,
    chain: string,
    y: number,
    x: (i: number) => number,
    size: {readonly width: number; readonly height: number} = CARD,
  ): PlacedStage[] {
    const stages = chains.find(({name}) => name === chain)?.stages ?? [];
    return stages.map((stage, i) => this.#put(process, stage, {x: x(i), y, ...size}));
  }

  #put(process: string, stage: StageFlow, box: Box): PlacedStage {
    const placed = {...box, key: `${process}/${stage.name}`, process, small: box.height === PILL.height};
    this.#stages.push(placed);
    return placed;
  }

  /** Arrows from each to the next, whichever way the row runs. */
  #chain(stages: readonly PlacedStage[]): void {
    for (const [i, to] of stages.entries()) {
      const from = stages[i - 1];
      if (!from) continue;
      const leftwards = to.x < from.x;
      this.#wire(
        [
          [leftwards ? from.x : from.x + from.width, middle(from)],
          [leftwards ? to.x + to.width : to.x, middle(to)],
        ],
        to.key,
        'in',
      );
    }
  }

  #into(stage: string, store: PlacedStore['store']): void {
    const from = named(this.#stages, stage);
    if (from)
      this.#wire(
        [
          [center(from), from.y + from.height],
          [center(from), this.#store(store).y],
        ],
        from.key,
        'out',
      );
  }

  #store(store: PlacedStore['store']): PlacedStore {
    const found = this.#stores.find(placed => placed.store === store);
    if (!found) throw new Error(`${store} has no place`);
    return found;
  }

  #wire(points: readonly Point[], key: string, side: PlacedWire['side'], to?: PlacedWire['to']): void {
    this.#wires.push({d: rounded(points), head: headOf(points), key, side, ...(to ? {to} : {})});
  }
}

const middle = ({y, height}: Box): number => y + height / 2;
const center = ({x, width}: Box): number => x + width / 2;
const named = (stages: readonly PlacedStage[], name: string): PlacedStage | undefined =>
  stages.find(({key}) => key.endsWith(`/${name}`));

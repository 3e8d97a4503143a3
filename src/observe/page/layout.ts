import type {Lane} from '../flow.ts';
import {CARD, Canvas, CLIENTS, center, END_WIDTH, middle, named, PILL} from './canvas.ts';
import type {Box, PlacedFollower, PlacedStage, PlacedStore, PlacedWire} from './placed.ts';

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

const STORE_HEIGHT = 50;
const COLUMNS = 7;
const PITCH = 148;
const FIRST = 164;
/** Between PostgreSQL and the lanes: where lines go down. */
const BUS = 138;
/** The replica stands below the stage that writes it. */
const REPLICA_COLUMN = 3;
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

/** Places the parts of the picture from the top down; each method returns where its part ends. */
class Builder {
  readonly #canvas = new Canvas();
  readonly #neighbours: Neighbours;

  constructor(neighbours: Neighbours) {
    this.#neighbours = neighbours;
  }

  replicator(lane: Lane, top: number): number {
    const {process} = lane;
    const {follows, followers} = this.#neighbours;
    // Where the slot's stages have them: apply over the replica.
    const main = follows
      ? this.#canvas.row(lane, 'change-stream', top + 60, i => column(REPLICA_COLUMN + i))
      : this.#canvas.row(lane, 'replication', top + 60, i => column(i));
    const beside = top + 60 + CARD.height + 26;
    const copying = this.#canvas.row(lane, 'initial-sync', beside, i => column(i), PILL);
    const sending = follows
      ? []
      : this.#canvas.row(lane, 'change-stream', beside, i => column(COLUMNS - 1 - i), PILL);
    const followersEnd = top + Math.min(followers, MAX_FOLLOWERS) * FOLLOWER_PITCH;
    const stagesEnd =
      copying.length + sending.length ? beside + PILL.height + 18 : top + 60 + CARD.height + 18;
    const bottom = Math.max(stagesEnd, followersEnd);
    this.#lane(process, top, bottom);
    this.#canvas.chain(main);
    this.#canvas.chain(copying);
    for (const first of [main[0], copying[0]])
      if (first)
        this.#canvas.wire(
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
      this.#canvas.wire(
        [
          [center(back), back.y],
          [center(back), over],
          [128, over],
        ],
        back.key,
        'out',
      );
    }
    if (follows) this.#canvas.end('replication-manager', top, bottom - top);
    const [send] = sending;
    if (send) {
      const tee = named(main, 'replication.tee');
      if (tee)
        this.#canvas.wire(
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
      this.#canvas.followers.push(box);
      this.#canvas.wire(
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
      this.#canvas.stores.push({store, title, x: column(at), y, width: CARD.width, height: STORE_HEIGHT});
    place('replica', 'replica', REPLICA_COLUMN);
    if (!this.#neighbours.follows) place('change-log', 'change log', REPLICA_COLUMN + 1);
    if (workers) place('view-records', 'view records', REPLICA_COLUMN + 2);
    this.#canvas.into('replication.apply', 'replica');
    this.#canvas.into('change-stream.apply', 'replica');
    this.#canvas.into('replication.tee', 'change-log');
    const send = named(this.#canvas.stages, 'change-stream.send');
    if (send) {
      const log = this.#canvas.store('change-log');
      const over = log.y - 12;
      this.#canvas.wire(
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
    const index = named(this.#canvas.stages, 'initial-sync.index');
    const replica = this.#canvas.store('replica');
    if (index)
      this.#canvas.wire(
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
    const query = this.#canvas.row(lane, 'query', y, i => column(i));
    const group = this.#canvas.row(lane, 'client-group', y, i => column(query.length + i));
    const back = y + CARD.height + 30;
    // Writes come from the clients, so this row runs from right to left.
    const writes = this.#canvas.row(lane, 'mutations', back, i => column(COLUMNS - 1 - i));
    this.#canvas.chain([...query, ...group]);
    this.#canvas.chain(writes);
    const known = new Set([...query, ...group, ...writes].map(({key}) => key));
    const room = COLUMNS - Math.max(writes.length, 3);
    const rest = lane.chains.flatMap(({stages}) => stages).filter(s => !known.has(`${process}/${s.name}`));
    rest.forEach((stage, i) => {
      this.#canvas.put(process, stage, {
        x: column(i % room),
        y: back + Math.floor(i / room) * (PILL.height + 10),
        ...PILL,
      });
    });
    const lines = Math.ceil(rest.length / room);
    const bottom = Math.max(back + CARD.height, back + lines * (PILL.height + 10)) + 32;
    this.#lane(process, top, bottom);
    this.#read(query[0]);
    this.#recorded(group);
    this.#exchanged(group, writes, bottom - 14);
    return bottom;
  }

  #lane(process: string, top: number, bottom: number): void {
    const x = 148;
    this.#canvas.lanes.push({process, x, y: top, width: column(COLUMNS) - x - 8, height: bottom - top});
  }

  /** From the replica around the lanes to the first stage that reads it. */
  #read(first: PlacedStage | undefined): void {
    if (!first) return;
    const replica = this.#canvas.store('replica');
    const under = replica.y + replica.height + 16;
    this.#canvas.wire(
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

  /** What a worker's groups keep. */
  #recorded(group: readonly PlacedStage[]): void {
    const commit = named(group, 'client-group.commit');
    if (commit) {
      const records = this.#canvas.store('view-records');
      const beside = column(5) + CARD.width + 12;
      this.#canvas.wire(
        commit.x === records.x && this.#canvas.lanes.filter(({process: p}) => p !== 'replicator').length === 1
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
  }

  /** What goes to the clients and comes from them; writes go on to PostgreSQL along the line at `under`. */
  #exchanged(group: readonly PlacedStage[], writes: readonly PlacedStage[], under: number): void {
    const poke = named(group, 'client-group.poke');
    if (poke)
      this.#canvas.wire(
        [
          [poke.x + poke.width, middle(poke)],
          [CLIENTS, middle(poke)],
        ],
        poke.key,
        'out',
      );
    const limit = named(writes, 'mutations.limit');
    if (limit)
      this.#canvas.wire(
        [
          [CLIENTS, middle(limit)],
          [limit.x + limit.width, middle(limit)],
        ],
        limit.key,
        'in',
      );
    const execute = named(writes, 'mutations.execute');
    if (execute) {
      this.#canvas.wire(
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
      this.#canvas.wire(
        [
          [center(answer), answer.y],
          [center(answer), answer.y - 15],
          [CLIENTS, answer.y - 15],
        ],
        answer.key,
        'out',
      );
  }

  finish(firstWorker: number, bottom: number): Layout {
    const workers = this.#canvas.lanes.some(({process}) => process !== 'replicator');
    const top = this.#neighbours.follows ? firstWorker : 16;
    if (workers || !this.#neighbours.follows) this.#canvas.end('postgres', top, bottom - 12 - top);
    if (workers) this.#canvas.end('clients', firstWorker, bottom - 12 - firstWorker);
    return {
      height: bottom + 4,
      lanes: this.#canvas.lanes,
      stages: this.#canvas.stages,
      stores: this.#canvas.stores,
      followers: this.#canvas.followers,
      wires: this.#canvas.wires,
    };
  }
}

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

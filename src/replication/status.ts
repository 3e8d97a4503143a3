import {statSync} from 'node:fs';
import {ChangeLogUnavailable, type DaemonError, NotReplicated, UpstreamUnreachable} from '../errors.ts';
import type {StageBoard} from '../flow/stage.ts';
import {FaultBook} from '../observe/fault-book.ts';
import type {ReplicatorInspection} from '../observe/inspection.ts';
import {formatLsn, type Lsn, versionOfLsn} from '../pg/lsn.ts';
import {liteTableName, type PublishedSchema} from '../pg/published-schema.ts';
import {schemaLimits} from '../pg/schema-limits.ts';
import type {SlotHealth} from '../pg/slot.ts';
import type {WalControl} from '../pg/wal-source.ts';
import type {BackfillJobs} from '../replica/backfill-jobs.ts';
import type {ReplicationEvent} from './events.ts';
import type {SchemaTracker} from './schema-tracker.ts';

const REMEMBERED_RECOVERIES = 20;
/** A server that is asked answers at once, unless it is deep in a transaction that it has to read from its disk. */
const SILENCE_MS = 1000;
/** The change log is written half a second behind on purpose. */
const UNLOGGED_MS = 1000;

/** The chain that runs now, as far as it is looked into. */
export interface RunningChain {
  readonly control: Pick<WalControl, 'probe'>;
  readonly tracker: Pick<SchemaTracker, 'schema'>;
  readonly jobs: Pick<BackfillJobs, 'all'>;
}

/** What `inspect-pipeline` shows of the replicator. */
export class ReplicatorStatus {
  state: ReplicatorInspection['state'] = 'initial-sync';
  readonly faults = new FaultBook();
  /** Who follows this node. */
  subscribers: () => ReplicatorInspection['subscribers'] = () => [];
  readonly #replicaFile: string;
  readonly #board: StageBoard;
  readonly #recoveries: {atMs: number; code: string; reason: string}[] = [];
  #slot: {name: string; health: SlotHealth; checkedAtMs: number} | null = null;
  #replicaVersion: string | null = null;
  #applied: string | null = null;
  #logged: string | null = null;
  #acked: Lsn | null = null;
  #follows: {uri: string; sinceMs: number} | null = null;
  #lag: {ms: number; atMs: number} | null = null;
  #chain: RunningChain | null = null;
  /** Since when something waits for the change log, none of which was written; null: all is written. */
  #unloggedSinceMs: number | null = null;
  #limits: {of: PublishedSchema; errors: ReadonlyMap<string, DaemonError>} | null = null;

  constructor(replicaFile: string, board: StageBoard) {
    this.#replicaFile = replicaFile;
    this.#board = board;
  }

  get appliedVersion(): string | null {
    return this.#applied;
  }

  /** The replica is complete, which no stream needs to be open for; after a fault the state waits for `opened`. */
  streaming(replica: {replicaVersion: string; stateVersion: string}, slot: string, health: SlotHealth): void {
    if (this.state === 'initial-sync') this.state = 'streaming';
    this.#replicaVersion = replica.replicaVersion;
    this.#applied = replica.stateVersion;
    this.#acked = health.confirmedFlushLsn;
    this.checked(slot, health);
  }

  /** The stream is open: what was wrong with it is over. */
  opened(chain: RunningChain): void {
    this.state = 'streaming';
    this.#chain = chain;
    this.#unloggedSinceMs = null;
    const {code} = this.faults.get('replication') ?? {};
    // That the disk or the change log can be written again is not known yet.
    if (code !== 'R007' && code !== 'R011') this.faults.set('replication', null);
    this.#noteLimits();
  }

  /** The stream has ended. */
  closed(): void {
    this.#chain = null;
    this.#unloggedSinceMs = null;
    this.faults.set('silence', null);
    this.faults.set('change-log', null);
  }

  /** On a view-syncer, in the place of `streaming`. */
  following(replica: {replicaVersion: string; stateVersion: string}, uri: string): void {
    this.state = 'streaming';
    this.#replicaVersion = replica.replicaVersion;
    this.#applied = replica.stateVersion;
    this.#follows = {uri, sinceMs: Date.now()};
    this.faults.set('replication', null);
  }

  checked(slot: string, health: SlotHealth): void {
    this.#slot = {name: slot, health, checkedAtMs: Date.now()};
  }

  note(event: ReplicationEvent): void {
    switch (event.type) {
      case 'version-ready': {
        const {version, upstreamCommitTimeMs, readyTimeMs} = event.ready;
        this.#applied = version;
        if (upstreamCommitTimeMs !== null)
          this.#lag = {ms: Math.max(0, readyTimeMs - upstreamCommitTimeMs), atMs: readyTimeMs};
        this.#unloggedSinceMs ??= Date.now();
        this.#over('R007');
        return;
      }
      case 'logged':
        this.#logged = versionOfLsn(event.lsn);
        this.#unloggedSinceMs = this.#applied !== null && this.#logged < this.#applied ? Date.now() : null;
        this.#over('R007', 'R011');
        return;
      case 'acknowledged':
        this.#acked = event.lsn;
    }
  }

  recovered(code: string, reason: string): void {
    this.#recoveries.push({atMs: Date.now(), code, reason});
    if (this.#recoveries.length > REMEMBERED_RECOVERIES) this.#recoveries.shift();
  }

  /** Asks the stream for a sign of life, and notes what stands still. */
  async probe(): Promise<void> {
    // What has arrived meanwhile is read first: that we were busy is not the server's silence.
    for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve));
    const silentMs = this.#chain?.control.probe() ?? 0;
    this.faults.set(
      'silence',
      silentMs < SILENCE_MS
        ? null
        : new UpstreamUnreachable(
            `PostgreSQL has sent nothing on the replication stream for ${seconds(silentMs)}, though it was asked: the connection is dead, or it reads a large transaction from its disk.`,
          ),
    );
    const unloggedMs = this.#unloggedSinceMs === null ? 0 : Date.now() - this.#unloggedSinceMs;
    this.faults.set(
      'change-log',
      unloggedMs < UNLOGGED_MS
        ? null
        : new ChangeLogUnavailable(
            `Nothing could be written to the change log for ${seconds(unloggedMs)}; nothing is acknowledged meanwhile.`,
          ),
    );
    this.#noteLimits();
  }

  #noteLimits(): void {
    const schema = this.#chain?.tracker.schema;
    if (!schema || schema === this.#limits?.of) return;
    const errors = new Map(schemaLimits(schema).map(limit => [limit, new NotReplicated(sentence(limit))]));
    this.#limits = {of: schema, errors};
    this.faults.setAll('schema ', errors);
  }

  #over(...codes: readonly string[]): void {
    if (codes.includes(this.faults.get('replication')?.code ?? '')) this.faults.set('replication', null);
  }

  inspect(): ReplicatorInspection {
    const slot = this.#slot;
    return {
      state: this.state,
      stages: this.#board.snapshot(),
      replicaFile: this.#replicaFile,
      replicaBytes: fileBytes(this.#replicaFile),
      walBytes: fileBytes(`${this.#replicaFile}-wal`),
      replicaVersion: this.#replicaVersion,
      appliedVersion: this.#applied,
      loggedVersion: this.#logged,
      ackedLsn: this.#acked === null ? null : formatLsn(this.#acked),
      slot: slot && {
        name: slot.name,
        walStatus: slot.health.walStatus,
        retainedBytes: slot.health.retainedBytes,
        confirmedFlushLsn:
          slot.health.confirmedFlushLsn === null ? null : formatLsn(slot.health.confirmedFlushLsn),
        checkedAtMs: slot.checkedAtMs,
      },
      lagMs: this.#lag?.ms ?? null,
      lagMeasuredAtMs: this.#lag?.atMs ?? null,
      reading: this.#chain?.jobs.all().map(({schema, table}) => liteTableName({schema, name: table})) ?? [],
      follows: this.#follows,
      subscribers: this.subscribers(),
      recoveries: [...this.#recoveries],
      faults: this.faults.standing,
      pastFaults: this.faults.past,
    };
  }
}

const fileBytes = (file: string): number => statSync(file, {throwIfNoEntry: false})?.size ?? 0;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const sentence = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}.`;

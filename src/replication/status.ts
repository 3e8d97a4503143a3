import {statSync} from 'node:fs';
import type {ReplicationEvent} from '../../pipelines/replication.ts';
import type {StageBoard} from '../flow/stage.ts';
import type {ReplicatorInspection} from '../observe/inspection.ts';
import {formatLsn, type Lsn, versionOfLsn} from '../pg/lsn.ts';
import type {SlotHealth} from '../pg/slot.ts';

const REMEMBERED_RECOVERIES = 20;

/** What `inspect-pipeline` shows of the replicator. */
export class ReplicatorStatus {
  state: ReplicatorInspection['state'] = 'initial-sync';
  readonly #replicaFile: string;
  readonly #board: StageBoard;
  readonly #recoveries: {atMs: number; code: string; reason: string}[] = [];
  #slot: {name: string; health: SlotHealth; checkedAtMs: number} | null = null;
  #replicaVersion: string | null = null;
  #applied: string | null = null;
  #logged: string | null = null;
  #acked: Lsn | null = null;
  #lag: {ms: number; atMs: number} | null = null;

  constructor(replicaFile: string, board: StageBoard) {
    this.#replicaFile = replicaFile;
    this.#board = board;
  }

  get appliedVersion(): string | null {
    return this.#applied;
  }

  streaming(replica: {replicaVersion: string; stateVersion: string}, slot: string, health: SlotHealth): void {
    this.state = 'streaming';
    this.#replicaVersion = replica.replicaVersion;
    this.#applied = replica.stateVersion;
    this.#acked = health.confirmedFlushLsn;
    this.checked(slot, health);
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
        return;
      }
      case 'logged':
        this.#logged = versionOfLsn(event.lsn);
        return;
      case 'acknowledged':
        this.#acked = event.lsn;
    }
  }

  recovered(code: string, reason: string): void {
    this.#recoveries.push({atMs: Date.now(), code, reason});
    if (this.#recoveries.length > REMEMBERED_RECOVERIES) this.#recoveries.shift();
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
      recoveries: [...this.#recoveries],
    };
  }
}

const fileBytes = (file: string): number => statSync(file, {throwIfNoEntry: false})?.size ?? 0;

import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {buildReplica, parseSnapshotRow} from './build-replica.ts';
import {parseReplicaLine, restoreReplica} from './copy-replica.ts';
import {
  type Fixture,
  REPLICA_FILE,
  ROWS_FILE,
  readSchema,
  type SessionCase,
  type WalCase,
} from './fixture.ts';
import {readJsonLines} from './lines.ts';

/** Builds the replica that a recording's frames follow upon. @throws FixtureUnusable. */
export const firstReplica = (
  {dir, case: facts}: Fixture<WalCase | SessionCase>,
  file: string,
): Promise<Database> =>
  facts.snapshot === 'replica'
    ? restoreReplica(file, readJsonLines(join(dir, REPLICA_FILE), parseReplicaLine))
    : buildReplica(file, {
        schema: readSchema(dir),
        replicaVersion: facts.replicaVersion,
        publications: facts.publications,
        rows: readJsonLines(join(dir, ROWS_FILE), parseSnapshotRow),
      });

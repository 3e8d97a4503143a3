import {existsSync} from 'node:fs';
import {join} from 'node:path';
import type {Database} from 'better-sqlite3';
import {buildReplica, parseSnapshotRow} from './build-replica.ts';
import {parseReplicaLine, restoreReplica} from './copy-replica.ts';
import {ASIDES_FILE, type Fixture, REPLICA_FILE, ROWS_FILE, readSchema, type WalCase} from './fixture.ts';
import {readJsonLines} from './lines.ts';

/** Builds the replica that a recording's frames follow upon. @throws FixtureUnusable. */
export const firstReplica = ({dir, case: facts}: Fixture<WalCase>, file: string): Promise<Database> =>
  facts.snapshot === 'replica'
    ? restoreReplica(file, readJsonLines(join(dir, REPLICA_FILE), parseReplicaLine))
    : buildReplica(file, {
        schema: readSchema(dir),
        replicaVersion: facts.replicaVersion,
        publications: facts.publications,
        rows: readJsonLines(join(dir, ROWS_FILE), parseSnapshotRow),
      });

/** The file of what was recorded beside the stream, if there is any. */
export const asidesOf = (dir: string): string | null => {
  const file = join(dir, ASIDES_FILE);
  return existsSync(file) ? file : null;
};

import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {catchError, EMPTY, lastValueFrom, toArray} from 'rxjs';
import {expect, test} from 'vitest';
import {replay} from '../../pipelines/replay.ts';
import {EntryApplier} from '../../src/change-log/apply-entries.ts';
import type {LogEntry} from '../../src/change-log/entries.ts';
import {logLines, parseLogLines} from '../../src/change-log/lines.ts';
import {dumpReplica} from '../../src/replay/dump-replica.ts';
import {asidesOf, firstReplica} from '../../src/replay/first-replica.ts';
import {type Fixture, findFixtures, readFixture, WAL_FILE, type WalCase} from '../../src/replay/fixture.ts';
import {readReplicaState} from '../../src/replica/sync-context.ts';

const fixtures = findFixtures(['fixtures/wal'])
  .map(dir => readFixture(dir))
  .filter((fixture): fixture is Fixture<WalCase> => fixture.case.kind === 'wal');

/** Pieces of `size` entries, as they may arrive, whatever the borders of transactions. */
const pieces = (entries: readonly LogEntry[], size: number): LogEntry[][] =>
  Array.from({length: Math.ceil(entries.length / size)}, (_, i) => entries.slice(i * size, (i + 1) * size));

test.each(fixtures.map(fixture => [fixture.name, fixture] as const))(
  '%s: a replica that follows the change log is equal to the one that follows PostgreSQL',
  async (_, fixture) => {
    const dir = mkdtempSync(join(tmpdir(), 'zs-entries-'));
    const first = await firstReplica(fixture, join(dir, 'first.db'));
    const second = await firstReplica(fixture, join(dir, 'second.db'));
    try {
      const watermark = readReplicaState(first).stateVersion;
      const batches = await lastValueFrom(
        replay({
          db: first,
          watermark,
          recording: join(fixture.dir, WAL_FILE),
          asides: asidesOf(fixture.dir),
          options: {until: undefined, perTransaction: false},
          partBytes: fixture.case.partBytes,
        }).pipe(
          // Some recordings end with a fault of the chain; until then all is as ever.
          catchError(() => EMPTY),
          toArray(),
        ),
      );
      const entries = batches.flatMap(batch => batch.entries);
      expect(batches.length).toBeGreaterThan(0);
      expect(parseLogLines(logLines(entries))).toEqual(entries);
      const applier = new EntryApplier(second, watermark);
      for (const piece of pieces(entries, 7)) {
        applier.apply(piece);
        if (!second.inTransaction) applier.apply(piece);
      }
      expect(second.inTransaction).toBe(false);
      expect([...dumpReplica(second)]).toEqual([...dumpReplica(first)]);
    } finally {
      first.close();
      second.close();
      rmSync(dir, {recursive: true, force: true});
    }
  },
);

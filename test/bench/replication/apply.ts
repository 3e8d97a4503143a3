import {issueByID, WATCHED} from '../data/queries.ts';
import type {Kind} from '../helpers/bench-server.ts';
import {Commits} from '../helpers/commits.ts';
import {RawClient} from '../helpers/raw-client.ts';
import type {World} from '../helpers/world.ts';
import {sustain} from '../queries/sustain.ts';

const SUSTAINED_MS = 6000;
const ROWS_PER_TRANSACTION = 500;
/** Numbers of one figure and round are apart from all others. */
const APART = 10_000_000;

/**
 * How fast changes are applied, with one client that watches one row and sees the last of them within a second:
 * transactions of one row, and rows in transactions of many.
 */
export const applyRates = (world: World, kind: Kind): Promise<void> =>
  world.withServer(kind, 'tracker', async (server, url) => {
    const commits = await Commits.open(url);
    const client = new RawClient({url: server.url, keep: 'rows'});
    const seen = () =>
      Number(/^seq (\d+)$/.exec(String(client.reader.rows.get(`issue/${WATCHED}`)?.['title']))?.[1] ?? 0);
    const rate = async (base: number, batch: number, commit: (first: number, n: number) => Promise<void>) => {
      const {perSecond, worstLagMs} = await sustain({
        durationMs: SUSTAINED_MS,
        batch,
        commit: (first, n) => commit(base + first, n),
        seen: () => seen() - base,
        onPoke: listener => {
          client.onPoke = listener;
        },
        failed: () => client.until(() => false),
      });
      client.onPoke = null;
      world.log(`${kind}: worst lag ${Math.round(worstLagMs)} ms`);
      return perSecond;
    };
    try {
      await commits.prepareMany(world.counts);
      await commits.prepareRows(world.counts);
      await client.connect([issueByID(0)]);
      await client.got([issueByID(0)]);
      server.profileFromHere();
      for (let round = 0; round < world.rounds; round++) {
        const base = 2 * round * APART;
        if (world.wants('apply/tx'))
          world.report(kind, 'apply/tx', await rate(base, 50, (first, n) => commits.many(first, n)));
        if (world.wants('apply/rows')) {
          const perSecond = await rate(base + APART, 2, (first, n) =>
            commits.manyRows(first, n, ROWS_PER_TRANSACTION),
          );
          world.report(kind, 'apply/rows', perSecond * ROWS_PER_TRANSACTION);
        }
      }
    } finally {
      client.close();
      await commits.close();
    }
  });

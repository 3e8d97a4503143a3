import type {WalFrames} from '../pg/gather-frames.ts';
import type {Lsn} from '../pg/lsn.ts';
import type {SideChannel} from '../replication/side-channel.ts';
import {type Aside, parseAside, type RecordedCatalog} from './aside-lines.ts';
import {readJsonLines} from './lines.ts';
import {beginOf} from './recording.ts';

/**
 * Lets what was recorded beside a stream in at its places among the stream's transactions. `frames` come one transaction
 * at a time. What belongs behind the last of them is let in if that one was the last before it.
 */
export async function* withAsides(
  frames: AsyncGenerator<WalFrames>,
  file: string,
  to: {
    readonly side: SideChannel;
    readonly catalog: RecordedCatalog;
    /** Awaited before each that changes the replica. */
    readonly before?: (() => Promise<void>) | undefined;
  },
): AsyncGenerator<WalFrames> {
  const asides = readJsonLines(file, parseAside);
  let next = await asides.next();
  let last: Lsn = 0n;
  const letIn = async (due: (aside: Aside) => boolean) => {
    for (; !next.done && due(next.value); next = await asides.next())
      if ('state' in next.value) to.catalog.add(next.value.state);
      else {
        await to.before?.();
        await to.side.push(next.value.batch);
      }
  };
  try {
    for await (const group of frames) {
      const commit = group.reduce<Lsn | null>((found, frame) => found ?? beginOf(frame), null);
      if (commit !== null) {
        await letIn(aside => ('state' in aside ? aside.before <= commit : aside.after < commit));
        last = commit;
      }
      yield group;
    }
    await letIn(aside => 'batch' in aside && aside.after <= last);
  } finally {
    await asides.return(undefined);
    await frames.return(undefined);
  }
}

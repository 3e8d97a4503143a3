import {Subject} from 'rxjs';
import {expect, test} from 'vitest';
import type {WalFrames} from '../../src/pg/gather-frames.ts';
import {FrameTap} from '../../src/replay/frame-tap.ts';
import {beginOf, commitOf} from '../../src/replay/recording.ts';
import {frame} from '../helpers/frames.ts';

const told = (frames: WalFrames): string =>
  frames
    .map(one => {
      if (beginOf(one) !== null) return `begin ${beginOf(one)}`;
      return commitOf(one) === null ? 'change' : `commit ${commitOf(one)}`;
    })
    .join(', ');

test('who waits is let in between two transactions, also where no group of frames ends there', () => {
  const tap = new FrameTap();
  const source = new Subject<WalFrames>();
  const passed: string[] = [];
  source.pipe(tap.watch()).subscribe(frames => passed.push(told(frames)));
  source.next([frame('B', 1n), frame('I')]);
  const heard: string[] = [];
  const stop = tap.listen({
    start: (_, lastCommit) => heard.push(`after ${lastCommit}`),
    frames: frames => heard.push(told(frames)),
    aside: () => {},
    end: () => heard.push('end'),
  });
  source.next([frame('I')]);
  expect(heard).toEqual([]);
  source.next([frame('I'), frame('C', 1n), frame('B', 2n), frame('I')]);
  source.next([frame('C', 2n)]);
  expect(heard).toEqual(['after 1', 'begin 2, change', 'commit 2']);
  expect(passed).toHaveLength(4);
  stop();
  source.complete();
  expect(heard).toHaveLength(3);
});

import pg from 'pg';
import {Commits} from '../helpers/commits.ts';
import {sleep} from '../helpers/wait.ts';
import type {World} from '../helpers/world.ts';
import {createMeter, type Meter, perUnit} from './costs.ts';
import {Fleet} from './fleet.ts';
import {fitModel, type Measured, type Model, renderMeasured} from './model.ts';

const IDLE_SECONDS = 5;
const CHANGES = 20;

/**
 * Many groups against one server: unit costs measured at one group and at `groups`, then checked at twice and at four
 * times that. Returns Markdown.
 */
export const runLoad = (world: World, groups: number): Promise<string> =>
  world.withServer('ours', 'tracker', async (server, url) => {
    const [commits, upstream] = [await Commits.open(url), new pg.Client(url)];
    await upstream.connect();
    const fleet = new Fleet(server.url, commits, world.counts);
    const meter = createMeter(server, upstream, () => fleet.networkBytes);
    const tables: string[] = [];
    let one: Measured | null = null;
    let model: Model | null = null;
    try {
      // What the first of all groups costs is the warming of the server.
      await fleet.growTo(1);
      for (const size of [1, groups, groups * 2, groups * 4]) {
        const measured = await measureAt(fleet, meter, size);
        world.log(`${size} groups measured`);
        tables.push(renderMeasured(size, measured, model));
        if (!one) one = measured;
        else model ??= fitModel(one, measured, size);
      }
    } finally {
      fleet.close();
      await commits.close();
      await upstream.end();
    }
    return tables.join('\n');
  });

const measureAt = async (fleet: Fleet, meter: Meter, size: number): Promise<Measured> => {
  const added = size - fleet.clients.length;
  const connect = await meter.measure(() => fleet.growTo(size));
  const idle = await meter.measure(() => sleep(IDLE_SECONDS * 1000));
  const repeat = async (change: (n: number) => Promise<void>) => {
    const costs = await meter.measure(async () => {
      for (let n = 0; n < CHANGES; n++) await change(n);
    });
    return perUnit(costs, CHANGES);
  };
  return {
    connect: perUnit(connect, Math.max(1, added)),
    idle: perUnit(idle, IDLE_SECONDS),
    shared: await repeat(() => fleet.changeShared()),
    own: await repeat(n => fleet.changeOwn(n)),
    unrelated: await repeat(n => fleet.changeUnrelated(n)),
  };
};

import pg from 'pg';
import {Commits} from '../helpers/commits.ts';
import {sleep} from '../helpers/wait.ts';
import type {World} from '../helpers/world.ts';
import {Cluster} from './cluster.ts';
import {createMeter, type Meter, perUnit} from './costs.ts';
import {Fleet} from './fleet.ts';
import {fitModel, type Measured, renderMeasured, renderModel, type Size} from './model.ts';

const IDLE_SECONDS = 5;
const CHANGES = 20;

export interface LoadOptions {
  /** The model is fitted at one group and at so many, on one view-syncer. */
  readonly groups: number;
  /** And checked on so many, with as many groups on each and with twice as many. */
  readonly nodes: number;
}

/**
 * Many client groups against a replication-manager and its view-syncers: unit costs measured on one view-syncer make a
 * model, which is then checked on several at two sizes. Returns Markdown.
 */
export const runLoad = async (world: World, {groups, nodes}: LoadOptions): Promise<string> => {
  const [one, many] = await measureSizes(world, 1, [1, groups]);
  const model = fitModel(one!, many!, groups);
  const sizes = [nodes * groups, nodes * groups * 2];
  const checks = await measureSizes(world, nodes, sizes);
  const table = (size: Size, measured: Measured, checked: boolean) =>
    renderMeasured(size, measured, checked ? model : null);
  return [
    table({groups: 1, nodes: 1}, one!, false),
    table({groups, nodes: 1}, many!, false),
    renderModel(model),
    ...checks.map((measured, i) => table({groups: sizes[i]!, nodes}, measured, true)),
  ].join('\n');
};

const measureSizes = (world: World, nodes: number, sizes: readonly number[]): Promise<Measured[]> =>
  world.withDatabase('tracker', async (url, appID) => {
    const [commits, client] = [await Commits.open(url), new pg.Client(url)];
    await client.connect();
    const cluster = await Cluster.start(world, {url, appID, client}, nodes);
    const fleet = new Fleet(cluster.urls, commits, world.counts);
    const meter = createMeter(cluster, client, () => fleet.pokeBytes);
    const all: Measured[] = [];
    try {
      // What the first of all groups costs is the warming of the servers.
      await fleet.growTo(nodes);
      for (const groups of sizes) {
        all.push(await measureAt(fleet, meter, groups));
        world.log(`${groups} groups on ${nodes} view-syncers measured`);
      }
      return all;
    } catch (error) {
      throw new Error(`${(error as Error).message}\nthe servers printed:\n${cluster.output()}`, {
        cause: error,
      });
    } finally {
      fleet.close();
      await cluster.stop();
      await commits.close();
      await client.end();
    }
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

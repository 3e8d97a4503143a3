import {Transform} from 'node:stream';
import {setImmediate as turn, setTimeout as wait} from 'node:timers/promises';
import type {Random} from '../../helpers/random.ts';
import {startProxy, type TcpProxy} from '../../helpers/tcp-proxy.ts';

/** Largest pieces of one chunk of the socket: mostly what a packet holds, now and then less than a header. */
const PIECE_BYTES = [16, 700, 1460, 1460, 8192, 65_536] as const;
/** What a slow road waits between two pieces, of which it makes few. */
const SLOW_MS = 2;

/** How the roads of one proxy are. */
class Road {
  readonly #random: Random;
  #blockedUntilMs = 0;
  #slowUntilMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  block(ms: number): void {
    this.#blockedUntilMs = Date.now() + ms;
  }

  slowDown(ms: number): void {
    this.#slowUntilMs = Date.now() + ms;
  }

  clear(): void {
    this.#blockedUntilMs = 0;
    this.#slowUntilMs = 0;
  }

  /** One direction of one connection: bytes come in order, whole, and in pieces of any size. */
  open(): Transform {
    const random = this.#random;
    const carry = async (chunk: Buffer, to: Transform): Promise<void> => {
      const most = Math.max(random.pick(PIECE_BYTES), chunk.length / 500);
      for (let at = 0; at < chunk.length && !to.destroyed; ) {
        while (Date.now() < this.#blockedUntilMs) await wait(20);
        const end = at + 1 + random.int(most);
        to.push(chunk.subarray(at, end));
        at = end;
        await (Date.now() < this.#slowUntilMs ? wait(SLOW_MS) : turn());
      }
    };
    return new Transform({
      transform(chunk: Buffer, _, done) {
        void carry(chunk, this).then(() => done());
      },
    });
  }
}

interface Line {
  readonly name: string;
  readonly proxy: TcpProxy;
  readonly road: Road;
  /** Whether who has a connection there finds out that it is dead without being told. */
  readonly canBeForgotten: boolean;
}

/** Every connection of the servers goes through here, in small pieces, and suffers what networks do to connections. */
export class Network {
  readonly #random: Random;
  readonly #lines: Line[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** @returns the URL of a server as it is seen from here on. */
  async to(name: string, serverUrl: string, canBeForgotten: boolean): Promise<string> {
    const road = new Road(this.#random);
    const proxy = await startProxy(serverUrl, {road: () => road.open()});
    this.#lines.push({name, proxy, road, canBeForgotten});
    return proxy.url.replace(/\/$/, '');
  }

  /** Something happens to one line. @returns what. */
  misbehave(): string {
    const random = this.#random;
    const {name, proxy, road, canBeForgotten} = random.pick(this.#lines);
    const ms = 500 + random.int(6000);
    const some = () => random.chance(0.4);
    switch (random.int(6)) {
      case 0:
        proxy.cut();
        return `all connections to ${name} are cut`;
      case 1:
        proxy.cut(some);
        return `some connections to ${name} are cut`;
      case 2:
        road.block(ms);
        return `nothing comes through to and from ${name} for ${ms} ms`;
      case 3:
        // Whatever was on its way is on it still, while the connection has gone.
        road.block(ms);
        setTimeout(() => proxy.cut(some), ms / 2);
        return `nothing comes through to and from ${name} for ${ms} ms, and some connections are cut meanwhile`;
      case 4:
        if (!canBeForgotten) return this.misbehave();
        proxy.stall(some);
        return `some connections to ${name} are forgotten`;
      default:
        road.slowDown(ms);
        return `${name} is slow for ${ms} ms`;
    }
  }

  /** Nothing more happens to what is connected now. */
  calm(): void {
    for (const {road} of this.#lines) road.clear();
  }

  async close(): Promise<void> {
    await Promise.all(this.#lines.map(({proxy}) => proxy.close()));
  }
}

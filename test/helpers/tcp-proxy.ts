import {createConnection, createServer, type Socket} from 'node:net';
import {Transform} from 'node:stream';

/** A TCP proxy in front of a server, for networks that misbehave. */
export interface TcpProxy {
  /** The server's URL with the proxy's port. */
  readonly url: string;
  /** Connections accepted so far. */
  readonly accepted: number;
  /**
   * Present connections, or those of them that `which` picks, stay open and carry nothing more, in either direction: as
   * behind a firewall that forgot them.
   */
  stall(which?: () => boolean): void;
  /** Present connections break, or those of them that `which` picks. */
  cut(which?: () => boolean): void;
  /** Present connections break, and new ones do until it is healed: the host is cut off. */
  block(): void;
  heal(): void;
  /** From now on as much is carried as there is. */
  unlimit(): void;
  /** New connections go to another server. */
  redirect(serverUrl: string): void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ProxyOptions {
  /** What each connection carries from the server at most. */
  readonly bytesPerSecond?: number;
  /** What comes from the server is carried in pieces of so many bytes, each in a turn of the event loop of its own. */
  readonly pieceBytes?: number;
  /** What each direction of each connection goes through. */
  readonly road?: () => Transform;
}

export const startProxy = async (serverUrl: string, options: ProxyOptions = {}): Promise<TcpProxy> => {
  let target = new URL(serverUrl);
  let blocked = false;
  let {bytesPerSecond = Number.POSITIVE_INFINITY} = options;
  let pairs: {near: Socket; far: Socket}[] = [];
  let accepted = 0;
  const server = createServer(near => {
    accepted++;
    if (blocked) return void near.destroy();
    const far = createConnection({host: target.hostname, port: Number(target.port)});
    const pair = {near, far};
    pairs.push(pair);
    const {road, pieceBytes} = options;
    near.setNoDelay();
    far.setNoDelay();
    if (road) near.pipe(road()).pipe(far);
    else near.pipe(far);
    if (road) far.pipe(road()).pipe(near);
    else if (options.bytesPerSecond) far.pipe(slow(() => bytesPerSecond)).pipe(near);
    else if (pieceBytes) far.pipe(pieces(pieceBytes)).pipe(near);
    else far.pipe(near);
    const end = () => {
      near.destroy();
      far.destroy();
      pairs = pairs.filter(other => other !== pair);
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(serverUrl);
  url.port = String((server.address() as {port: number}).port);
  const cut = (which = () => true) => {
    for (const {near, far} of pairs.filter(which)) {
      near.destroy();
      far.destroy();
    }
  };
  const close = async () => {
    cut();
    await new Promise(resolve => server.close(resolve));
  };
  return {
    url: url.href,
    get accepted() {
      return accepted;
    },
    stall: (which = () => true) => {
      for (const {near, far} of pairs.filter(which)) {
        near.unpipe();
        far.unpipe();
        near.pause();
        far.pause();
      }
    },
    cut,
    block: () => {
      blocked = true;
      cut();
    },
    heal: () => {
      blocked = false;
    },
    unlimit: () => {
      bytesPerSecond = Number.POSITIVE_INFINITY;
    },
    redirect: other => {
      target = new URL(other);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
};

const slow = (bytesPerSecond: () => number): Transform =>
  new Transform({
    transform: (chunk: Buffer, _, done) => {
      setTimeout(() => done(null, chunk), (chunk.length / bytesPerSecond()) * 1000);
    },
  });

const pieces = (bytes: number): Transform =>
  new Transform({
    transform(chunk: Buffer, _, done) {
      const carry = (at: number) => {
        if (at >= chunk.length) return done();
        this.push(chunk.subarray(at, at + bytes));
        setImmediate(carry, at + bytes);
      };
      carry(0);
    },
  });

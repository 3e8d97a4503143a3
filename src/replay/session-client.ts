import WebSocket from 'ws';
import {NEWEST_PROTOCOL} from '../sync/handshake.ts';

/** A client of a session fixture: keeps what it is sent, with the times taken out. */
export class SessionClient {
  readonly name: string;
  readonly received: string[] = [];
  /** Of the last complete poke. */
  cookie: string | null = null;
  #socket: WebSocket | null = null;

  constructor(name: string) {
    this.name = name;
  }

  /** Resolves when the connection is open. */
  connect(
    port: number,
    options: {readonly group: string; readonly cookie: string | null; readonly init: unknown},
  ): Promise<void> {
    const url = new URL(`ws://127.0.0.1:${port}/sync/v${NEWEST_PROTOCOL}/connect`);
    const params = {
      clientGroupID: options.group,
      clientID: this.name,
      userID: 'fixture',
      baseCookie: options.cookie ?? '',
      ts: '1',
      lmid: '0',
      wsid: `${this.name}-socket`,
    };
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
    const init = JSON.stringify({initConnectionMessage: ['initConnection', options.init]});
    const socket = new WebSocket(url, encodeURIComponent(Buffer.from(init).toString('base64')));
    this.#socket = socket;
    socket.on('message', data => this.#take(String(data)));
    socket.on('close', (code, reason) => {
      if (socket === this.#socket)
        this.received.push(JSON.stringify(['closed', {code, reason: String(reason)}]));
    });
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
  }

  send(message: unknown): void {
    this.#socket?.send(JSON.stringify(message));
  }

  /** As a lost connection: without a word. */
  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.terminate();
  }

  #take(text: string): void {
    const message = JSON.parse(text) as [string, {cookie?: string; timestamp?: number; cancel?: boolean}];
    const [type, body] = message;
    if (type === 'pokeEnd' && body.cookie !== undefined && !body.cancel) this.cookie = body.cookie;
    if (typeof body.timestamp === 'number') body.timestamp = 0;
    this.received.push(JSON.stringify(message));
  }
}

import {mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {type ClientRequest, request as httpRequest, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import type {Socket} from 'node:net';
import {join} from 'node:path';
import {Subject} from 'rxjs';
import {z} from 'zod';
import {ServerRefused} from '../errors.ts';
import type {WalFrames} from '../pg/wal-source.ts';
import {ASIDES_FILE, CASE_FILE, FIXTURE_FORMAT, REPLICA_FILE, WAL_FILE, type WalCase} from './fixture.ts';
import {LineSplitter, LineWriter} from './lines.ts';
import {RECORD_PATH, RECORD_PROTOCOL} from './record-protocol.ts';
import {type Bounds, type RecordedWal, recordFrames} from './record-wal.ts';

export interface RecordServerOptions {
  /** `http://host:port` of a zerostream. */
  readonly url: string;
  readonly password: string | undefined;
  readonly dir: string;
  readonly about: string;
  readonly partBytes?: number | undefined;
  readonly bounds: Bounds;
  /** Called with the version of the snapshot when its first line is here. */
  readonly onStart?: (stateVersion: string) => void;
}

const head = z.object({
  format: z.literal(FIXTURE_FORMAT),
  replicaVersion: z.string(),
  stateVersion: z.string(),
  publications: z.array(z.string()),
});

/**
 * Records the chain of a running server: its replica as it is now, and its frames from here on. The bounds are those of
 * the frames; the snapshot is always taken to its end. @throws ServerRefused if there is no such server, it wants a
 * password, or it ends the recording before the snapshot is complete.
 */
export const recordServer = async (options: RecordServerOptions): Promise<RecordedWal> => {
  const socket = await attach(options.url, options.password);
  mkdirSync(options.dir, {recursive: true});
  using replica = new LineWriter(join(options.dir, REPLICA_FILE));
  const frames = new Subject<WalFrames>();
  using asides = new LineWriter(join(options.dir, ASIDES_FILE));
  const overfull = new AbortController();
  const {signal = overfull.signal} = options.bounds;
  let ended = false;
  const wal = recordFrames(frames, join(options.dir, WAL_FILE), {
    ...options.bounds,
    signal: AbortSignal.any([signal, overfull.signal]),
  }).then(recorded => {
    ended = true;
    return overfull.signal.aborted ? {...recorded, endedBy: 'size' as const} : recorded;
  });
  const snapshot = new Promise<void>((resolve, reject) => {
    const fail = (why: string) => {
      frames.complete();
      reject(
        new ServerRefused(
          `The recording of ${options.url} was ended before its snapshot was complete: ${why}.`,
        ),
      );
    };
    const lines = new LineSplitter();
    const take = (text: string) => {
      // Frames and rows are told apart by their beginning: parsing each line would be the most of the work.
      if (text.startsWith('{"lsn"')) {
        const {frame} = JSON.parse(text) as {frame: string};
        frames.next([Buffer.from(frame, 'base64')]);
      } else if (text.startsWith('{"aside"') || text.startsWith('{"catalog"')) {
        if (ended) return;
        asides.write(text);
        if (asides.bytes > options.bounds.maxBytes) overfull.abort();
      } else if (text.startsWith('{"into"') || text.startsWith('{"sql"')) replica.write(text);
      else if (text.startsWith('{"snapshot"')) resolve();
      else if (text.startsWith('{"recording"')) {
        const told = head.parse((JSON.parse(text) as {recording: unknown}).recording);
        writeCase(options, told);
        options.onStart?.(told.stateVersion);
      } else fail((JSON.parse(text) as {end?: string}).end ?? 'it sent something else');
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const line of lines.feed(chunk)) take(line);
      } catch (error) {
        fail((error as Error).message);
      }
    });
    socket.on('close', () => fail('the connection was closed'));
  });
  try {
    const [recorded] = await Promise.all([wal, snapshot]);
    return recorded;
  } finally {
    socket.destroy();
    if (asides.bytes === 0) rmSync(join(options.dir, ASIDES_FILE));
  }
};

const writeCase = (options: RecordServerOptions, told: z.infer<typeof head>): void => {
  const facts: WalCase = {
    format: FIXTURE_FORMAT,
    kind: 'wal',
    about: options.about,
    snapshot: 'replica',
    publications: told.publications,
    replicaVersion: told.replicaVersion,
    ...(options.partBytes === undefined ? {} : {partBytes: options.partBytes}),
  };
  writeFileSync(join(options.dir, CASE_FILE), `${JSON.stringify(facts, null, 2)}\n`);
};

const attach = (url: string, password: string | undefined): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const refused = (why: string, cause?: unknown) =>
      reject(new ServerRefused(`Cannot record the server at ${url}: ${why}`, {cause}));
    let request: ClientRequest;
    try {
      const target = new URL(RECORD_PATH, url);
      request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
        headers: {
          Connection: 'Upgrade',
          Upgrade: RECORD_PROTOCOL,
          ...(password
            ? {Authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`}
            : {}),
        },
      });
    } catch (error) {
      return refused('that is no http:// or https:// address.', error);
    }
    request.on('upgrade', (_: IncomingMessage, socket: Socket, first: Buffer) => {
      socket.on('error', () => socket.destroy());
      if (first.length) socket.unshift(first);
      resolve(socket);
    });
    request.on('response', ({statusCode}) =>
      refused(
        statusCode === 401
          ? 'it wants its admin password: give --password or set ZERO_ADMIN_PASSWORD.'
          : `it answered ${statusCode}; is it a zerostream that is ready?`,
      ),
    );
    request.on('error', (error: NodeJS.ErrnoException) =>
      refused(`nothing answers there (${error.code ?? error.message}).`, error),
    );
    request.end();
  });

import {rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Subject} from 'rxjs';
import {z} from 'zod';
import {FixtureUnusable, ServerRefused} from '../errors.ts';
import type {WalFrames} from '../pg/gather-frames.ts';
import {versionOfLsn} from '../pg/lsn.ts';
import {attachRecorder, type RecordedServer} from './attach-recorder.ts';
import {type ConversationCounts, ConversationRecorder} from './conversation/record.ts';
import {
  ASIDES_FILE,
  CASE_FILE,
  FIXTURE_FORMAT,
  makeFolder,
  REPLICA_FILE,
  WAL_FILE,
  type WalCase,
} from './fixture.ts';
import {LineSplitter, LineWriter} from './lines.ts';
import {type Bounds, type RecordedWal, recordFrames} from './record-wal.ts';

export interface RecordServerOptions extends RecordedServer {
  readonly dir: string;
  readonly about: string;
  readonly partBytes?: number | undefined;
  readonly bounds: Bounds;
  /** What to record of the clients: of groups that connect from here on, of all by letting them connect again, or nothing. */
  readonly clients: 'new' | 'all' | 'none';
  /** Called with the version of the snapshot when its first line is here. */
  readonly onStart?: (stateVersion: string) => void;
}

const head = z.object({
  format: z.literal(FIXTURE_FORMAT),
  replicaVersion: z.string(),
  stateVersion: z.string(),
  publications: z.array(z.string()),
  workers: z.number().int(),
});

export interface RecordedServerParts extends RecordedWal {
  readonly conversation: ConversationCounts | null;
}

/**
 * Records a running server: its replica as it is now, and from here on its frames and what it says with its clients. The
 * bounds are those of frames and conversation; the snapshot is always taken to its end. @throws ServerRefused if there is
 * no such server, it wants a password, or it ends the recording before the snapshot is complete.
 */
export const recordServer = async (options: RecordServerOptions): Promise<RecordedServerParts> => {
  makeFolder(options.dir);
  const socket = await attachRecorder(options, null);
  using replica = new LineWriter(join(options.dir, REPLICA_FILE));
  const frames = new Subject<WalFrames>();
  using asides = new LineWriter(join(options.dir, ASIDES_FILE));
  const overfull = new AbortController();
  const {signal = overfull.signal} = options.bounds;
  let ended = false;
  const clients: {recorder: ConversationRecorder | null} = {recorder: null};
  const bounds = {...options.bounds, signal: AbortSignal.any([signal, overfull.signal])};
  const wal = recordFrames(frames, join(options.dir, WAL_FILE), bounds, lsn =>
    clients.recorder?.covered(versionOfLsn(lsn)),
  ).then(recorded => {
    ended = true;
    return overfull.signal.aborted ? {...recorded, endedBy: 'size' as const} : recorded;
  });
  const snapshot = new Promise<void>((resolve, reject) => {
    const fail = (error: Error) => {
      frames.complete();
      reject(error);
    };
    const endedEarly = (why: string) =>
      fail(
        new ServerRefused(
          `The recording of ${options.url} was ended before its snapshot was complete: ${why}.`,
        ),
      );
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
        if (options.clients !== 'none')
          clients.recorder = new ConversationRecorder({
            ...options,
            workers: told.workers,
            from: told.stateVersion,
            reconnect: options.clients === 'all',
            maxBytes: options.bounds.maxBytes,
            onOverfull: () => overfull.abort(),
            onFault: reject,
          });
        options.onStart?.(told.stateVersion);
      } else endedEarly((JSON.parse(text) as {end?: string}).end ?? 'it sent something else');
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const line of lines.feed(chunk)) take(line);
      } catch (error) {
        if (error instanceof FixtureUnusable) fail(error);
        else endedEarly((error as Error).message);
      }
    });
    socket.on('close', () => endedEarly('the connection was closed'));
  });
  let conversation: ConversationCounts | null = null;
  try {
    const [recorded] = await Promise.all([wal, snapshot]);
    conversation = clients.recorder?.finish() ?? null;
    return {...recorded, conversation};
  } finally {
    if (!conversation) clients.recorder?.finish();
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

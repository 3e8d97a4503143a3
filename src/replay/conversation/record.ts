import {rmSync} from 'node:fs';
import type {Socket} from 'node:net';
import {join} from 'node:path';
import type {Version} from '../../pg/lsn.ts';
import {attachRecorder, type RecordedServer} from '../attach-recorder.ts';
import {LineSplitter, LineWriter} from '../lines.ts';
import {conversationFile} from './files.ts';

export interface ConversationCounts {
  readonly connections: number;
  /** Pokes and other messages to clients. */
  readonly messages: number;
}

export interface ConversationOptions extends RecordedServer {
  readonly dir: string;
  readonly workers: number;
  readonly from: Version;
  readonly reconnect: boolean;
  readonly maxBytes: number;
  /** The files have reached their size. */
  readonly onOverfull: () => void;
  /** A worker cannot be recorded. */
  readonly onFault: (error: Error) => void;
}

/** Writes what each sync worker of a running server says with its clients, a file per worker. */
export class ConversationRecorder {
  readonly #options: ConversationOptions;
  readonly #files: WorkerFile[];
  #sockets: Socket[] = [];
  #ended = false;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#files = Array.from({length: options.workers}, (_, worker) => new WorkerFile(options, worker));
    for (const file of this.#files) void this.#follow(file).catch(options.onFault);
  }

  /** Everything up to this version can be replayed. */
  covered(version: Version): void {
    for (const file of this.#files) file.covered(version);
  }

  /** Ends the recording; what a replay could not follow is taken back. */
  finish(): ConversationCounts {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets = [];
    let connections = 0;
    let messages = 0;
    for (const file of this.#files) {
      const counts = file.finish();
      connections += counts.connections;
      messages += counts.messages;
    }
    return {connections, messages};
  }

  async #follow(file: WorkerFile): Promise<void> {
    const {from, reconnect} = this.#options;
    const socket = await attachRecorder(this.#options, {worker: file.worker, from, reconnect});
    if (this.#ended) return void socket.destroy();
    this.#sockets.push(socket);
    const lines = new LineSplitter();
    socket.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      for (const line of lines.feed(chunk)) file.take(line);
      file.flush();
      if (this.#files.reduce((sum, {bytes}) => sum + bytes, 0) > this.#options.maxBytes)
        this.#options.onOverfull();
    });
  }
}

const BEGIN = '{"op":"begin","version":"';
const ADVANCE = '{"op":"advance","to":"';

/** Where in the file a version begins, and what came before. */
interface Mark extends ConversationCounts {
  readonly version: Version;
  readonly bytes: number;
}

class WorkerFile {
  readonly worker: number;
  readonly #path: string;
  readonly #lines: LineWriter;
  /** Of versions that are not covered yet. */
  #marks: Mark[] = [];
  #covered: Version;
  #connections = 0;
  #messages = 0;

  constructor({dir, from}: ConversationOptions, worker: number) {
    this.worker = worker;
    this.#path = join(dir, conversationFile(worker));
    this.#lines = new LineWriter(this.#path);
    this.#covered = from;
  }

  get bytes(): number {
    return this.#lines.bytes;
  }

  take(line: string): void {
    if (line.startsWith('{"op":"sent"')) this.#messages++;
    else if (line.startsWith('{"op":"connect"')) this.#connections++;
    else if (line.startsWith(BEGIN)) this.#mark(line, BEGIN);
    else if (line.startsWith(ADVANCE)) this.#mark(line, ADVANCE);
    // The server says why it ends; the rest of the recording goes on.
    else if (line.startsWith('{"end"')) return;
    this.#lines.write(line);
  }

  /** Who looks finds what has been said so far. */
  flush(): void {
    this.#lines.flush();
  }

  covered(version: Version): void {
    this.#covered = version;
    if (this.#marks.length) this.#marks = this.#marks.filter(mark => mark.version > version);
  }

  finish(): ConversationCounts {
    const [mark] = this.#marks;
    if (mark) {
      this.#lines.truncate(mark.bytes);
      this.#connections = mark.connections;
      this.#messages = mark.messages;
    }
    this.#lines.close();
    if (this.#connections === 0) rmSync(this.#path);
    return {connections: this.#connections, messages: this.#messages};
  }

  #mark(line: string, head: string): void {
    const version = line.slice(head.length, line.indexOf('"', head.length));
    if (version > this.#covered)
      this.#marks.push({
        version,
        bytes: this.#lines.bytes,
        connections: this.#connections,
        messages: this.#messages,
      });
  }
}

import {createInterface, type Interface} from 'node:readline/promises';
import type {Readable, Writable} from 'node:stream';
import type {Database} from 'better-sqlite3';
import {exactly} from '../observe/units.ts';
import {ident} from '../pg/identifier.ts';
import {formatLsn} from '../pg/lsn.ts';
import {openReader} from '../replica/open.ts';
import {readTableSpecs} from '../replica/read-schema.ts';
import type {ReplayedTransaction} from './log-lines.ts';

const HELP = `  Enter  the next transaction      c  go on to the end      q  stop here
  t      tables and their rows     or any SELECT on the replica
`;

/** One transaction as a line: where it commits, its version, when, and how many changes of which table. */
export const transactionLine = ({commitLsn, version, commitTimeMs, changes}: ReplayedTransaction): string => {
  const tables = [...changes].map(
    ([table, kinds]) =>
      `${table}: ${Object.entries(kinds)
        .map(([kind, count]) => `${count} ${kind}`)
        .join(', ')}`,
  );
  const time = commitTimeMs === null ? 'unfinished' : new Date(commitTimeMs).toISOString();
  return `${formatLsn(commitLsn)}  ${version}  ${time}  ${tables.join('; ') || 'nothing of the publications'}`;
};

export interface Terminal {
  readonly input: Readable;
  readonly output: Writable;
  /** False: one line per transaction, no questions. */
  readonly interactive: boolean;
}

/** Shows a replay transaction by transaction; on a terminal it waits after each and answers questions about the replica. */
export class Stepper {
  readonly #terminal: Terminal;
  readonly #replicaFile: string;
  readonly #stop: () => void;
  #lines: Interface | null = null;
  #running = false;
  #shown = 0;

  /** @param stop ends the replay after the transaction shown last. */
  constructor(terminal: Terminal, replicaFile: string, stop: () => void) {
    this.#terminal = terminal;
    this.#replicaFile = replicaFile;
    this.#stop = stop;
  }

  show(transaction: ReplayedTransaction): void {
    this.#shown++;
    this.#print(`${transactionLine(transaction)}\n`);
  }

  /** Resolves when the user wants the next transaction. */
  async next(): Promise<void> {
    if (!this.#terminal.interactive || this.#running) return;
    if (this.#shown === 0) this.#print(HELP);
    this.#lines ??= createInterface({input: this.#terminal.input, output: this.#terminal.output});
    const closed = new Promise<string>(resolve => this.#lines!.once('close', () => resolve('q')));
    for (;;) {
      const answer = (await Promise.race([this.#lines.question('> '), closed])).trim();
      if (answer === '') return;
      if (answer === 'c') {
        this.#running = true;
        return;
      }
      if (answer === 'q') {
        this.#stop();
        return;
      }
      this.#print(answer === 't' ? this.#read(tables) : answer === '?' ? HELP : this.#read(select(answer)));
    }
  }

  close(): void {
    this.#lines?.close();
  }

  #read(ask: (db: Database) => string): string {
    const db = openReader(this.#replicaFile);
    try {
      return ask(db);
    } catch (error) {
      return `${(error as Error).message}\n`;
    } finally {
      db.close();
    }
  }

  #print(text: string): void {
    this.#terminal.output.write(text);
  }
}

const tables = (db: Database): string =>
  [...readTableSpecs(db).keys()]
    .sort()
    .map(
      name =>
        `  ${name}: ${db
          .prepare(`SELECT count(*) FROM ${ident(name)}`)
          .pluck()
          .get()} rows\n`,
    )
    .join('');

const select =
  (sql: string) =>
  (db: Database): string => {
    const statement = db.prepare(sql);
    if (!statement.reader) return 'Only what gives rows is answered.\n';
    const rows = statement.safeIntegers().all() as Record<string, unknown>[];
    const line = (row: Record<string, unknown>) =>
      JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
    return `${rows.map(row => `  ${line(row)}\n`).join('')}  ${exactly(rows.length, 'row')}\n`;
  };

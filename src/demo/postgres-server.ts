import type {ChildProcess} from 'node:child_process';
import {closeSync, openSync, readFileSync, statSync} from 'node:fs';
import pg from 'pg';
import {DevelopmentImpossible} from '../errors.ts';
import {spawnBound} from './bound-process.ts';
import type {DevFolder} from './dev-folder.ts';
import type {PostgresPrograms} from './postgres-programs.ts';

export interface PostgresServer {
  readonly port: number;
  /** Resolves when it ends, asked or not. */
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

const START_MS = 60_000;
const REFUSAL_MS = 3000;
const STOP_MS = 15_000;
const LOG_BYTES = 5 * 1024 * 1024;

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_replication_slots: '20',
  max_wal_senders: '20',
  // Data for trying out: a commit need not survive a power cut, and is sent to clients the sooner.
  fsync: 'off',
  log_line_prefix: '%m ',
  log_replication_commands: 'off',
} as const;

/**
 * Starts PostgreSQL on `folder`'s data and waits until it answers. @returns null if the port was taken meanwhile.
 * @throws DevelopmentImpossible with the end of its log.
 */
export const startPostgres = async (
  folder: DevFolder,
  programs: PostgresPrograms,
  options: {readonly port: number; readonly password: string},
): Promise<PostgresServer | null> => {
  const log = openLog(folder.log);
  const from = sizeOf(folder.log);
  const command = [
    ...[programs.postgres, '-D', folder.data, '-p', String(options.port)],
    ...Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const child = spawnBound(command, {identity: folder.identity, output: log});
  closeSync(log);
  let ended = false;
  const exited = new Promise<void>(resolve => {
    const end = () => {
      ended = true;
      resolve();
    };
    child.once('exit', end);
    child.once('error', end);
  });
  const url = `postgres://postgres:${options.password}@127.0.0.1:${options.port}/postgres`;
  const startedAt = Date.now();
  let refusedAt: number | null = null;
  let refusal: string | null = null;
  for (;;) {
    const answer = await ask(url);
    if (answer === 'welcome') return {port: options.port, exited, stop: () => stop(child, exited)};
    // Another server answers, or ours with a fault of its data: which of them shows when ours has come to its port.
    if (answer !== 'silent') {
      refusedAt ??= Date.now();
      refusal = answer.refused;
    }
    if (ended || late(startedAt, START_MS) || (refusedAt !== null && late(refusedAt, REFUSAL_MS))) break;
    await new Promise(resolve => setTimeout(resolve, 30));
  }
  await stop(child, exited);
  const said = endOfLog(folder.log, from);
  if (/could not bind/.test(said)) return null;
  throw new DevelopmentImpossible(
    refusal === null
      ? `PostgreSQL did not start. The end of ${folder.log}:\n${said}\n  If its data is damaged, begin anew with zerostream dev --reset.`
      : `PostgreSQL starts, but nobody gets in: ${refusal}. Begin anew with zerostream dev --reset.`,
  );
};

const late = (since: number, ms: number): boolean => Date.now() - since > ms;

/** A server that starts, stops or is full will answer otherwise in a moment. */
const PASSING = /^(57P0|53300)/;

const ask = async (url: string): Promise<'welcome' | 'silent' | {readonly refused: string}> => {
  const client = new pg.Client({connectionString: url, connectionTimeoutMillis: 5000});
  client.on('error', () => {});
  try {
    await client.connect();
    return 'welcome';
  } catch (error) {
    const {code = '', severity, message} = error as {code?: string; severity?: string; message: string};
    return severity && !PASSING.test(code) ? {refused: message} : 'silent';
  } finally {
    await client.end().catch(() => {});
  }
};

/** A fast shutdown; an immediate one when that takes too long. */
const stop = async (child: ChildProcess, exited: Promise<void>): Promise<void> => {
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGQUIT'), STOP_MS);
  await exited;
  clearTimeout(timer);
};

const openLog = (file: string): number => openSync(file, sizeOf(file) > LOG_BYTES ? 'w' : 'a', 0o600);

const sizeOf = (file: string): number => {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
};

const endOfLog = (file: string, from: number): string =>
  readFileSync(file)
    .subarray(from)
    .toString()
    .trim()
    .split('\n')
    .slice(-8)
    .map(line => `    ${line}`)
    .join('\n');

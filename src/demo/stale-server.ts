import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {DevelopmentImpossible} from '../errors.ts';

const PATIENCE_MS = 15_000;

/**
 * Ends a PostgreSQL that still runs on this data, left by a run that was killed or just ending. Call with the folder's
 * lock held: whatever runs there then is nobody's. A pid file that names a process which is something else (the number
 * was given out again) is removed, since PostgreSQL would refuse to start for it.
 * @returns the process that was ended, or null. @throws DevelopmentImpossible
 */
export const endStaleServer = async (data: string): Promise<number | null> => {
  const pidFile = join(data, 'postmaster.pid');
  const pid = pidIn(pidFile);
  if (pid === null) return null;
  if (!isPostgresOn(pid, data)) {
    await rm(pidFile, {force: true});
    return null;
  }
  kill(pid, 'SIGINT', data);
  const askedAt = Date.now();
  while (isPostgresOn(pid, data)) {
    if (Date.now() - askedAt > PATIENCE_MS)
      throw new DevelopmentImpossible(
        `A PostgreSQL of an earlier run, process ${pid}, still runs on ${data} and does not end. End it (kill -QUIT ${pid}) and start again.`,
      );
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  return pid;
};

const pidIn = (file: string): number | null => {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return pid > 1 ? pid : null;
  } catch {
    return null;
  }
};

/** The command line of a postmaster names its data folder. */
const isPostgresOn = (pid: number, data: string): boolean => {
  const command = commandOf(pid);
  return command?.includes('postgres') === true && command.includes(data);
};

const commandOf = (pid: number): string | null => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {}
  if (process.platform === 'linux') return null;
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], {encoding: 'utf8', stdio: 'pipe'});
  } catch {
    return null;
  }
};

const kill = (pid: number, signal: NodeJS.Signals, data: string): void => {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new DevelopmentImpossible(
      `A PostgreSQL of another user, process ${pid}, runs on ${data}. Stop it, or start in another folder.`,
      {cause},
    );
  }
};

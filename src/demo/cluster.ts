import {randomBytes} from 'node:crypto';
import {existsSync, readFileSync} from 'node:fs';
import {chown, mkdir, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {DevelopmentImpossible} from '../errors.ts';
import {runBound} from './bound-process.ts';
import {type DevFolder, removeUnfinished} from './dev-folder.ts';
import type {PostgresPrograms} from './postgres-programs.ts';

/** What is known of a data folder; kept inside it, so that the two are never apart. */
export interface Cluster {
  /** Of the superuser `postgres`. */
  readonly password: string;
  /** Where it listened last. */
  readonly port: number | null;
}

const FILE = 'zerostream.json';
const schema = z.object({password: z.string().min(1), port: z.number().nullable()});

/** Pieces without which PostgreSQL does not even begin to start. */
const PIECES = ['PG_VERSION', 'global/pg_control', 'base', 'pg_wal', 'postgresql.conf', 'pg_hba.conf'];

/** Why the data cannot be used, or null if it looks whole. */
export const clusterProblem = (data: string, programs: PostgresPrograms): string | null => {
  const missing = PIECES.find(piece => !existsSync(join(data, piece)));
  if (missing) return `${missing} is missing`;
  const major = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  if (major !== programs.major) return `it is of PostgreSQL ${major}, and this is ${programs.major}`;
  return readCluster(data) ? null : `${FILE} is missing or unreadable`;
};

export const readCluster = (data: string): Cluster | null => {
  try {
    return schema.parse(JSON.parse(readFileSync(join(data, FILE), 'utf8')));
  } catch {
    return null;
  }
};

export const writeCluster = async (data: string, cluster: Cluster): Promise<void> => {
  const file = join(data, FILE);
  await writeFile(`${file}.new`, JSON.stringify(cluster), {mode: 0o600});
  await rename(`${file}.new`, file);
};

/** The line of initdb's report that says what went wrong, with the hint below it; all of it if there is none. */
const faultIn = (report: string): string => {
  const [, fault, hint] = /(?:FATAL|PANIC|error): +(.*)(?:\n.*HINT: +(.*))?/.exec(report) ?? [];
  return fault === undefined ? report : [fault, hint].filter(Boolean).join('. ');
};

/** Makes the data beside its place and renames it when complete: half a folder never stands there. @throws DevelopmentImpossible */
export const initCluster = async (folder: DevFolder, programs: PostgresPrograms): Promise<Cluster> => {
  const {identity} = folder;
  // A name of our own: an earlier run that was killed may still be ending.
  const unfinished = `${folder.data}.new-${process.pid}`;
  const passwordFile = `${folder.data}.password-${process.pid}`;
  const cluster: Cluster = {password: randomBytes(18).toString('base64url'), port: null};
  await removeUnfinished(folder);
  await mkdir(unfinished, {mode: 0o700});
  await writeFile(passwordFile, cluster.password, {mode: 0o600});
  if (identity.uid !== undefined)
    for (const path of [unfinished, passwordFile]) await chown(path, identity.uid, identity.gid!);
  try {
    await runBound(
      [
        ...[programs.initdb, `--pgdata=${unfinished}`, `--pwfile=${passwordFile}`, '--no-sync'],
        ...['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8'],
        // The order of bytes: that of ZQL, and the same on every system.
        ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
      ],
      identity,
    );
  } catch (cause) {
    await rm(unfinished, {recursive: true, force: true});
    throw new DevelopmentImpossible(
      `PostgreSQL's data could not be made in ${folder.data}: ${faultIn((cause as Error).message)}`,
      {cause},
    );
  } finally {
    await rm(passwordFile, {force: true});
  }
  await writeCluster(unfinished, cluster);
  await rename(unfinished, folder.data);
  return cluster;
};

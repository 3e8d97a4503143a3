import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {PassThrough} from 'node:stream';
import type pg from 'pg';
import {type RecordFlags, recordFixture} from '../../src/cli/record-fixture.ts';
import {parseLsn} from '../../src/pg/lsn.ts';
import {WAL_FILE} from '../../src/replay/fixture.ts';
import {until} from '../helpers/until.ts';

/** Records a running server into `out`. What it returns ends that when all that is committed by then is on file, and tells what was printed. */
export const startRecording = async (
  flags: Omit<RecordFlags, 'maxBytes'>,
): Promise<(upstream: {query(sql: string): Promise<pg.QueryResult>}) => Promise<string>> => {
  const output = new PassThrough();
  let printed = '';
  output.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const abort = new AbortController();
  const recording = recordFixture({...flags, maxBytes: 1e9}, output, abort.signal);
  await until(() => printed.includes('recording;'), 'the recording has begun');
  return async upstream => {
    const {rows} = await upstream.query('SELECT pg_current_wal_lsn()::text AS lsn');
    await until(() => recordedUpTo(flags.out) >= parseLsn(rows[0].lsn), 'everything is recorded');
    abort.abort();
    if ((await recording) !== 0) throw new Error(`the recording does not replay:\n${printed}`);
    return printed;
  };
};

const recordedUpTo = (dir: string): bigint => {
  const last = readFileSync(join(dir, WAL_FILE), 'utf8').trimEnd().split('\n').at(-1);
  return last ? parseLsn((JSON.parse(last) as {lsn: string}).lsn) : 0n;
};

import {Worker} from 'node:worker_threads';
import {QueryError} from '../errors.ts';
import type {AnalysisOptions} from '../ivm/explain.ts';
import type {AST} from '../zql/ast.ts';
import type {AnalyzeOptions, AnalyzeResult} from './analyze-result.ts';

export interface AnalysisTask {
  readonly ast: AST;
  readonly file: string;
  readonly analysis: AnalysisOptions;
  readonly options: AnalyzeOptions;
}

export type AnalysisReply = {readonly result: AnalyzeResult} | {readonly error: string};

/** Longer ones are given up: their thread, and the snapshot it reads, are let go. */
const TIMEOUT_MS = 60_000;

/** Analyses a query in a thread of its own, so that clients are served meanwhile. @throws QueryError */
export const analyzeAside = (task: AnalysisTask): Promise<AnalyzeResult> =>
  new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./analyze-thread.js', import.meta.url), {workerData: task});
    const timer = setTimeout(() => {
      reject(new QueryError(`The analysis was given up after ${TIMEOUT_MS / 1000} s.`));
      void thread.terminate();
    }, TIMEOUT_MS).unref();
    thread.once('message', (reply: AnalysisReply) =>
      'result' in reply ? resolve(reply.result) : reject(new QueryError(reply.error)),
    );
    thread.once('error', reject);
    thread.once('exit', () => {
      clearTimeout(timer);
      reject(new QueryError('The analysis ended without a result.'));
    });
  });

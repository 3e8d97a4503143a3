import {parentPort, workerData} from 'node:worker_threads';
import {DaemonError} from '../errors.ts';
import {analyzeReplica} from '../ivm/explain.ts';
import type {AnalysisReply, AnalysisTask} from '../sync/analyze-aside.ts';
import {analyzeResult} from '../sync/analyze-result.ts';

/** Analyses one query for a client's inspector, and ends. */
const analyze = ({ast, file, analysis, options}: AnalysisTask): AnalysisReply => {
  try {
    return {result: analyzeResult(analyzeReplica(ast, file, analysis), options, Date.now())};
  } catch (error) {
    if (error instanceof DaemonError) return {error: error.message};
    throw error;
  }
};

parentPort?.postMessage(analyze(workerData as AnalysisTask));

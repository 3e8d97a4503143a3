import {readdirSync} from 'node:fs';

/** One file per sync worker, which serves its client groups in an order of its own. */
export const conversationFile = (worker: number): string => `conversation-${worker}.ndjson`;

/** Those in a folder; workers without clients leave none. */
export const conversationsOf = (dir: string): string[] =>
  readdirSync(dir)
    .filter(name => /^conversation-\d+\.ndjson$/.test(name))
    .sort();

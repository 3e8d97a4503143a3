import {readdirSync} from 'node:fs';
import {parseLine, readLines} from '../lines.ts';
import {type Line, parseConversationLine} from './line.ts';

/** One file per sync worker, which serves its client groups in an order of its own. */
export const conversationFile = (worker: number): string => `conversation-${worker}.ndjson`;

/** Those in a folder; workers without clients leave none. */
export const conversationsOf = (dir: string): string[] =>
  readdirSync(dir)
    .filter(name => /^conversation-\d+\.ndjson$/.test(name))
    .sort();

export type ConversationLines = AsyncGenerator<{readonly line: Line; readonly text: string}>;

/** @throws FixtureUnusable naming the line. */
export async function* readConversation(file: string): ConversationLines {
  let n = 0;
  for await (const text of readLines(file))
    yield {line: parseLine(file, ++n, text, parseConversationLine), text};
}

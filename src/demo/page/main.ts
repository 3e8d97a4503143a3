import type {PageFacts} from '../page-facts.ts';
import {byId, fill, h} from './dom.ts';
import {startIssues} from './issues.ts';
import {startTables} from './tables.ts';

/** The page of development mode: the demonstration's issue tracker, or the tables of the user's own schema. */
const start = async () => {
  const response = await fetch('/demo/facts.json');
  const facts = (await response.json()) as PageFacts;
  if (facts.from === 'demo') startIssues(facts);
  else startTables(facts);
};

start().catch((error: Error) =>
  fill(
    byId('app'),
    h(
      'p',
      {class: 'notice', role: 'alert'},
      `The page cannot start: ${error.message}. Reload it when the server is up.`,
    ),
  ),
);

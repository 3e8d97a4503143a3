import type {PageFacts} from '../page-facts.ts';
import {byId, fill, h} from './dom.ts';
import {code} from './try-it.ts';

/** The page for a schema of the user's own: how to reach the server and the database. */
export const startTables = async (facts: PageFacts): Promise<void> => {
  byId('subtitle').textContent = `serving ${facts.from}`;
  fill(
    byId('app'),
    h(
      'section',
      {class: 'try', 'aria-label': 'Connect'},
      h(
        'div',
        {},
        h('h2', {}, 'Your app'),
        h('p', {}, 'Give this address to the Zero client.'),
        code(`new Zero({cacheURL: '${location.origin}', schema})`),
      ),
      h(
        'div',
        {},
        h('h2', {}, 'psql'),
        h('p', {}, 'The database is yours.'),
        code(`psql ${facts.connectionString}`),
      ),
    ),
  );
};

import type {PageFacts, PageTable} from '../page-facts.ts';
import {connect} from './connection.ts';
import {byId, fill, h} from './dom.ts';
import {tableSchema} from './table-schema.ts';
import {tableView} from './table-view.ts';
import {code} from './try-it.ts';

/** The page for a schema of the user's own: how to reach server and database, and every table, live. */
export const startTables = (facts: PageFacts): void => {
  const file = facts.from.split('/').at(-1) ?? facts.from;
  byId('subtitle').textContent = `your tables, made from ${file}`;
  const usable = facts.tables.filter(({key}) => key.length > 0);
  const names = h('nav', {class: 'names', 'aria-label': 'Tables'});
  const place = h('section', {class: 'detail table', 'aria-label': 'Rows'});
  fill(
    byId('app'),
    hints(facts),
    usable.length === 0
      ? h(
          'p',
          {class: 'notice'},
          'There is no table with a primary key yet. Make one with psql and reload this page.',
        )
      : h('main', {class: 'panes tables'}, names, place),
  );
  if (usable.length === 0) return;
  const zero = connect(tableSchema(usable));
  let close: () => void = () => {};
  const show = () => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const table = usable.find(({name}) => name === wanted) ?? usable[0]!;
    close();
    const view = tableView(zero, table);
    close = view.close;
    fill(place, view.element);
    for (const button of names.querySelectorAll('button'))
      button.setAttribute('aria-current', String(button.dataset['name'] === table.name));
  };
  const open = (table: PageTable) => {
    history.replaceState(null, '', `#${encodeURIComponent(table.name)}`);
    show();
  };
  fill(
    names,
    ...usable.map(table =>
      h('button', {type: 'button', 'data-name': table.name, on: {click: () => open(table)}}, table.name),
    ),
  );
  window.addEventListener('hashchange', show);
  show();
};

const hints = (facts: PageFacts): HTMLElement =>
  h(
    'section',
    {class: 'try', 'aria-label': 'Connect'},
    h(
      'div',
      {},
      h('h2', {}, 'Your app'),
      h('p', {}, 'Its Zero client takes this address.'),
      code(`new Zero({cacheURL: '${location.origin}', schema})`),
    ),
    h(
      'div',
      {},
      h('h2', {}, 'psql'),
      h('p', {}, 'Change rows from anywhere: they follow here.'),
      code(`psql ${facts.connectionString}`),
    ),
    h(
      'div',
      {},
      h('h2', {}, 'Permissions'),
      h('p', {}, 'Anyone may read and write everything, until you deploy your own:'),
      code('npx zero-deploy-permissions --schema-path ./schema.ts'),
    ),
  );

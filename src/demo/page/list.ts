import {flash, h, later} from './dom.ts';
import type {Client} from './issues.ts';
import {type ListedIssue, updateRow} from './list-row.ts';
import {type Filter, NO_FILTER, ORDERS, toolbar} from './list-toolbar.ts';
import {zql} from './schema.ts';

const PAGE = 50;

export interface IssueList {
  readonly element: HTMLElement;
  select(id: string | null): void;
  search(): void;
}

/** A live list with filter, order and limit; rows keep their elements while they stay in it. */
export const issueList = (
  zero: Client,
  on: {readonly open: (id: string | null) => void; readonly add: () => void},
): IssueList => {
  let filter: Filter = NO_FILTER;
  let limit = PAGE;
  let selected: string | null = null;
  let close: () => void = () => {};
  const elements = new Map<string, HTMLElement>();
  const rows = h('ol', {class: 'rows', 'aria-label': 'Issues'});
  const count = h('span', {class: 'count', 'aria-live': 'polite'});
  const more = h(
    'button',
    {type: 'button', class: 'more', on: {click: () => show(filter, limit + PAGE)}},
    'Show more',
  );

  const render = (issues: readonly ListedIssue[], settled: boolean) => {
    const gone = new Set(elements.keys());
    for (const [index, issue] of issues.entries()) {
      gone.delete(issue.id);
      let element = elements.get(issue.id);
      if (!element) {
        element = h('li', {'data-id': issue.id});
        elements.set(issue.id, element);
      }
      const changed = updateRow(element, issue, on.open);
      element.toggleAttribute('data-selected', issue.id === selected);
      if (changed && settled && !isEdited(issue.id)) flash(element);
      if (rows.children[index] !== element) rows.insertBefore(element, rows.children[index] ?? null);
    }
    for (const id of gone) {
      elements.get(id)?.remove();
      elements.delete(id);
    }
  };
  const isEdited = (id: string) => id === selected && document.activeElement?.closest('.detail') != null;

  const show = (nextFilter: Filter, nextLimit: number) => {
    close();
    filter = nextFilter;
    limit = nextLimit;
    rows.setAttribute('aria-busy', 'true');
    let settled = false;
    const view = zero.materialize(listQuery(filter).limit(limit + 1));
    const removeListener = view.addListener((data, resultType) => {
      const issues = data as readonly ListedIssue[];
      // Rows at hand show at once, but an empty answer is believed only from the server.
      if (issues.length === 0 && resultType !== 'complete') return;
      render(issues.slice(0, limit), settled);
      if (settled) document.dispatchEvent(new CustomEvent('rows-changed'));
      if (resultType === 'complete' && !settled) {
        settled = true;
        rows.removeAttribute('aria-busy');
      }
      const full = issues.length > limit;
      more.hidden = !full;
      count.textContent = full
        ? `first ${limit}`
        : `${issues.length} ${issues.length === 1 ? 'issue' : 'issues'}`;
      empty.hidden = issues.length > 0;
    });
    close = () => {
      removeListener();
      view.destroy();
    };
  };

  const empty = h('p', {class: 'empty', hidden: true}, 'No issue is like that.');
  const tools = toolbar(
    zero,
    later(120, (next: Filter) => show(next, PAGE)),
    on.add,
  );
  const element = h(
    'section',
    {class: 'list', 'aria-label': 'List of issues', on: {keydown: event => walk(event as KeyboardEvent)}},
    tools.element,
    h('div', {class: 'scroll'}, rows, empty, more),
    h('footer', {class: 'keys'}, count, h('span', {class: 'grow'}), ...keys()),
  );

  const walk = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (!step || (event.target as Element).closest('select')) return;
    const buttons = [...rows.querySelectorAll<HTMLElement>('button')];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const next = buttons[at === -1 ? 0 : at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({block: 'nearest'});
  };

  show(filter, limit);
  return {
    element,
    select: id => {
      selected = id;
      for (const [key, row] of elements) row.toggleAttribute('data-selected', key === id);
    },
    search: () => tools.search(),
  };
};

const listQuery = (filter: Filter) => {
  let query = zql.issue.related('project').related('assignee').related('labels');
  if (filter.text) query = query.where('title', 'ILIKE', `%${filter.text.replaceAll(/[\\%_]/g, '\\$&')}%`);
  if (filter.status) query = query.where('status', filter.status);
  if (filter.project) query = query.where('projectId', filter.project);
  if (filter.label) query = query.whereExists('labels', label => label.where('id', filter.label));
  for (const [column, direction] of ORDERS[filter.order].by) query = query.orderBy(column, direction);
  return query;
};

const keys = () =>
  [
    ['↑↓', 'walk'],
    ['/', 'search'],
    ['n', 'new'],
    ['Esc', 'close'],
  ].map(([key, what]) => h('span', {class: 'key'}, h('kbd', {}, key!), ` ${what}`));

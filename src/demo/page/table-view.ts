import {createBuilder, type Zero} from '@rocicorp/zero';
import type {PageTable} from '../page-facts.ts';
import {fill, flash, h} from './dom.ts';
import {type TableSchema, tableSchema} from './table-schema.ts';

type Row = Readonly<Record<string, unknown>>;

const PAGE = 100;

/** A table's rows, live, in the order of a column of one's choice. */
export const tableView = (zero: Zero<TableSchema>, table: PageTable) => {
  const builder = createBuilder(tableSchema([table]))[table.name]!;
  let order: {readonly column: string; readonly direction: 'asc' | 'desc'} = {
    column: table.key[0]!,
    direction: 'asc',
  };
  let limit = PAGE;
  let close: () => void = () => {};
  const elements = new Map<string, HTMLTableRowElement>();
  const body = h('tbody', {});
  const heads = new Map(table.columns.map(column => [column.name, headOf(column, name => sortBy(name))]));
  const count = h('span', {class: 'count', 'aria-live': 'polite'});
  const more = h(
    'button',
    {type: 'button', class: 'more', hidden: true, on: {click: () => show(limit + PAGE)}},
    'Show more',
  );

  const sortBy = (column: string) => {
    const turned = order.column === column && order.direction === 'asc';
    order = {column, direction: turned ? 'desc' : 'asc'};
    show(PAGE);
  };
  const show = (next: number) => {
    close();
    limit = next;
    for (const [name, {cell}] of heads) {
      const sorted = order.direction === 'asc' ? 'ascending' : 'descending';
      cell.setAttribute('aria-sort', name === order.column ? sorted : 'none');
    }
    let settled = false;
    const query = builder.orderBy(order.column, order.direction).limit(limit + 1);
    const view = zero.materialize(query);
    const removeListener = view.addListener((data, resultType) => {
      const rows = data as readonly Row[];
      if (rows.length === 0 && resultType !== 'complete') return;
      render(rows.slice(0, limit), settled);
      settled ||= resultType === 'complete';
      more.hidden = rows.length <= limit;
      count.textContent =
        rows.length > limit ? `first ${limit} rows` : `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`;
    });
    close = () => {
      removeListener();
      view.destroy();
    };
  };

  const render = (rows: readonly Row[], settled: boolean) => {
    const gone = new Set(elements.keys());
    for (const [index, row] of rows.entries()) {
      const id = JSON.stringify(table.key.map(column => row[column]));
      gone.delete(id);
      const element = elements.get(id) ?? h('tr', {});
      elements.set(id, element);
      const shows = JSON.stringify(row);
      if (element.dataset['shows'] !== shows) {
        element.dataset['shows'] = shows;
        fill(
          element,
          ...table.columns.map(column =>
            h('td', {class: column.type}, textOf(row[column.name], column.dataType)),
          ),
        );
        if (settled) flash(element);
      }
      if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
    }
    for (const id of gone) {
      elements.get(id)?.remove();
      elements.delete(id);
    }
  };

  show(PAGE);
  const element = h(
    'div',
    {class: 'fill'},
    h(
      'div',
      {class: 'scroll', tabindex: '0', 'aria-label': `Rows of ${table.name}`},
      h('table', {}, h('thead', {}, h('tr', {}, ...[...heads.values()].map(({cell}) => cell))), body),
      more,
    ),
    h('footer', {class: 'keys'}, count),
  );
  return {element, close: () => close()};
};

const headOf = ({name, type}: PageTable['columns'][number], sort: (name: string) => void) => {
  const cell = h(
    'th',
    {scope: 'col', class: type},
    h('button', {type: 'button', class: 'quiet', on: {click: () => sort(name)}}, name),
  );
  return {cell};
};

/** Long values are cut: this is for looking, not for reading. */
const textOf = (value: unknown, dataType: string): string => {
  if (value === null || value === undefined) return '∅';
  if (typeof value === 'number' && Number.isFinite(value)) {
    if (dataType === 'date') return new Date(value).toISOString().slice(0, 10);
    if (dataType.startsWith('timestamp'))
      return new Date(value)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.000Z$|Z$/, '');
  }
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
};

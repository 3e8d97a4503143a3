import {h} from './dom.ts';
import type {Client} from './issues.ts';
import {setOptions} from './parts.ts';
import {STATUSES, type Status, zql} from './schema.ts';

export interface Filter {
  readonly text: string;
  readonly status: Status | '';
  readonly project: string;
  readonly label: string;
  readonly order: keyof typeof ORDERS;
}

export const NO_FILTER: Filter = {text: '', status: '', project: '', label: '', order: 'updated'};

type By = readonly (readonly [column: 'updated' | 'num' | 'priority' | 'title', direction: 'asc' | 'desc'])[];

export const ORDERS = {
  updated: {name: 'Last updated', by: [['updated', 'desc']] as By},
  newest: {name: 'Newest', by: [['num', 'desc']] as By},
  urgent: {
    name: 'Most urgent',
    by: [
      ['priority', 'asc'],
      ['updated', 'desc'],
    ] as By,
  },
  title: {name: 'Title', by: [['title', 'asc']] as By},
} as const;

/** Search, filters, order. Projects and labels are live queries as well: new ones appear in the menus. */
export const toolbar = (zero: Client, onChange: (filter: Filter) => void, onAdd: () => void) => {
  const changed = () =>
    onChange({
      text: text.value.trim(),
      status: status.value as Status | '',
      project: project.value,
      label: label.value,
      order: order.value as keyof typeof ORDERS,
    });
  const select = (name: string) => h('select', {'aria-label': name, on: {change: changed}});
  const text = h('input', {
    type: 'search',
    placeholder: 'Search titles',
    'aria-label': 'Search titles',
    spellcheck: 'false',
    on: {input: changed},
  });
  const status = select('Status');
  const project = select('Project');
  const label = select('Label');
  const order = select('Order');
  setOptions(status, [['', 'Any status'], ...STATUSES], '');
  setOptions(project, [['', 'All projects']], '');
  setOptions(label, [['', 'Any label']], '');
  setOptions(
    order,
    Object.entries(ORDERS).map(([value, {name}]) => [value, name] as const),
    'updated',
  );
  zero
    .materialize(zql.project.orderBy('name', 'asc'))
    .addListener(projects =>
      setOptions(project, [['', 'All projects'], ...projects.map(p => [p.id, p.name] as const)]),
    );
  zero
    .materialize(zql.label.orderBy('name', 'asc'))
    .addListener(labels =>
      setOptions(label, [['', 'Any label'], ...labels.map(l => [l.id, l.name] as const)]),
    );
  const element = h(
    'div',
    {class: 'toolbar', role: 'search'},
    text,
    h('button', {type: 'button', class: 'primary', on: {click: onAdd}}, 'New issue'),
    h('div', {class: 'filters'}, status, project, label, order),
  );
  return {element, search: () => text.focus()};
};

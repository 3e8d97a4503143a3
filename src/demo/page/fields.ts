import type {ShownComment} from './comments.ts';
import {fill, h, later} from './dom.ts';
import type {Client} from './issues.ts';
import {chip, setOptions} from './parts.ts';
import {PRIORITIES, STATUSES, type Status, zql} from './schema.ts';

interface Relative {
  readonly id: string;
  readonly num: number | null | undefined;
  readonly title: string;
  readonly status: Status;
  readonly project: {readonly key: string} | undefined;
}

export interface ShownIssue extends Relative {
  readonly description: string;
  readonly priority: number;
  readonly assigneeId: string | null | undefined;
  readonly created: number;
  readonly updated: number;
  readonly project: {readonly key: string; readonly name: string} | undefined;
  readonly creator: {readonly name: string} | undefined;
  readonly labels: readonly {readonly id: string}[];
  readonly parent: Relative | undefined;
  readonly children: readonly Relative[];
  readonly comments: readonly ShownComment[];
}

/** Text is written while one types, at this pause: others see it grow. */
const TYPING_MS = 150;

/** What of an issue can be changed. A field one is typing in is not overwritten by what arrives. */
export const fields = (zero: Client, id: string) => {
  let last: ShownIssue | null = null;
  const change = (patch: {
    readonly title?: string;
    readonly description?: string;
    readonly status?: Status;
    readonly priority?: number;
    readonly assigneeId?: string | null;
  }) => void zero.mutate.issue.update({id, ...patch, updated: Date.now()});

  const typed = later(TYPING_MS, (name: 'title' | 'description', value: string) => {
    if (name === 'description' || value.trim()) change({[name]: value});
  });
  const onInput = (name: 'title' | 'description') => ({
    input: (event: Event) => typed(name, (event.target as HTMLTextAreaElement).value),
    blur: () => typed.flush(),
  });
  const title = h('textarea', {
    class: 'title',
    rows: '1',
    'aria-label': 'Title',
    maxlength: '200',
    on: {
      ...onInput('title'),
      keydown: event => {
        if ((event as KeyboardEvent).key !== 'Enter') return;
        event.preventDefault();
        title.blur();
      },
    },
  });
  const description = h('textarea', {
    class: 'description',
    rows: '3',
    'aria-label': 'Description',
    placeholder: 'Description',
    on: onInput('description'),
  });

  const status = h('div', {class: 'segments', role: 'group', 'aria-label': 'Status'});
  fill(
    status,
    ...STATUSES.map(([value, name]) =>
      h('button', {type: 'button', 'data-value': value, on: {click: () => change({status: value})}}, name),
    ),
  );
  const priority = h('select', {
    'aria-label': 'Priority',
    on: {change: () => change({priority: Number(priority.value)})},
  });
  setOptions(
    priority,
    PRIORITIES.flatMap((name, value) => (name ? [[String(value), name] as const] : [])),
  );
  const assignee = h('select', {
    'aria-label': 'Assignee',
    on: {change: () => change({assigneeId: assignee.value || null})},
  });
  const people = zero.materialize(zql.person.orderBy('name', 'asc'));
  people.addListener(persons =>
    setOptions(
      assignee,
      [['', 'Nobody'], ...persons.map(p => [p.id, p.name] as const)],
      last?.assigneeId ?? '',
    ),
  );
  const labels = h('div', {class: 'labels', role: 'group', 'aria-label': 'Labels'});
  const all = zero.materialize(zql.label.orderBy('name', 'asc'));
  all.addListener(rows => {
    fill(
      labels,
      ...rows.map(label => {
        const button = h(
          'button',
          {type: 'button', 'data-id': label.id, on: {click: () => toggle(label.id)}},
          chip(label),
        );
        return button;
      }),
    );
    if (last) press(last);
  });
  const toggle = (labelId: string) => {
    const has = last?.labels.some(label => label.id === labelId);
    const row = {issueId: id, labelId};
    void (has ? zero.mutate.issueLabel.delete(row) : zero.mutate.issueLabel.insert(row));
  };
  const press = (issue: ShownIssue) => {
    for (const button of labels.querySelectorAll('button'))
      button.setAttribute(
        'aria-pressed',
        String(issue.labels.some(label => label.id === button.dataset['id'])),
      );
  };

  const element = h(
    'div',
    {class: 'fields'},
    title,
    h(
      'div',
      {class: 'properties'},
      status,
      h('label', {}, 'Priority', priority),
      h('label', {}, 'Assignee', assignee),
    ),
    labels,
    description,
  );
  return {
    element,
    update: (issue: ShownIssue) => {
      last = issue;
      for (const [field, value] of [
        [title, issue.title],
        [description, issue.description],
      ] as const)
        if (field !== document.activeElement && field.value !== value) field.value = value;
      for (const button of status.querySelectorAll('button'))
        button.setAttribute('aria-pressed', String(button.dataset['value'] === issue.status));
      priority.value = String(issue.priority);
      assignee.value = issue.assigneeId ?? '';
      press(issue);
    },
    /** Writes what was typed last and ends the queries. */
    flush: () => {
      typed.flush();
      people.destroy();
      all.destroy();
    },
  };
};

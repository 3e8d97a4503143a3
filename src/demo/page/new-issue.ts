import {h} from './dom.ts';
import type {Client} from './issues.ts';
import {me} from './me.ts';
import {setOptions} from './parts.ts';
import {PRIORITIES, zql} from './schema.ts';

/** The dialog that adds an issue. Its number is given by PostgreSQL and appears when the server has answered. */
export const newIssue = (zero: Client, open: (id: string) => void) => {
  const title = h('input', {name: 'title', required: true, maxlength: '200', autocomplete: 'off'});
  const description = h('textarea', {name: 'description', rows: '4'});
  const project = h('select', {name: 'project'});
  const priority = h('select', {name: 'priority'});
  setOptions(
    priority,
    PRIORITIES.flatMap((name, value) => (name ? [[String(value), name] as const] : [])),
    '2',
  );
  zero.materialize(zql.project.orderBy('name', 'asc')).addListener(projects =>
    setOptions(
      project,
      projects.map(p => [p.id, p.name] as const),
      project.value || projects[0]?.id,
    ),
  );

  const save = async (event: Event) => {
    event.preventDefault();
    const id = crypto.randomUUID();
    const now = Date.now();
    await zero.mutate.issue.insert({
      id,
      projectId: project.value,
      title: title.value.trim(),
      description: description.value.trim(),
      status: 'open',
      priority: Number(priority.value),
      creatorId: me(),
      created: now,
      updated: now,
    });
    form.reset();
    element.close();
    open(id);
  };
  const form = h(
    'form',
    {on: {submit: event => void save(event)}},
    h('h2', {}, 'New issue'),
    h('label', {}, 'Title', title),
    h('label', {}, 'Description', description),
    h(
      'div',
      {class: 'side-by-side'},
      h('label', {}, 'Project', project),
      h('label', {}, 'Priority', priority),
    ),
    h(
      'div',
      {class: 'buttons'},
      h('button', {type: 'button', on: {click: () => element.close()}}, 'Cancel'),
      h('button', {type: 'submit', class: 'primary'}, 'Add issue'),
    ),
  );
  const element = h('dialog', {class: 'new-issue', 'aria-label': 'New issue'}, form);
  return {
    element,
    show: () => {
      element.showModal();
      title.focus();
    },
  };
};

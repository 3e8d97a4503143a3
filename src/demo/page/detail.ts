import {comments} from './comments.ts';
import {ago, fill, h, later} from './dom.ts';
import {fields, type ShownIssue} from './fields.ts';
import type {Client} from './issues.ts';
import {keyOf} from './list-row.ts';
import {statusIcon} from './parts.ts';
import {zql} from './schema.ts';

export interface IssueDetail {
  readonly element: HTMLElement;
  show(id: string | null): void;
}

/** One issue with what belongs to it, all in one live query. */
export const issueDetail = (zero: Client, on: {readonly open: (id: string | null) => void}): IssueDetail => {
  const element = h('section', {class: 'detail', 'aria-label': 'Issue'});
  let shown: string | null = null;
  let close: () => void = () => {};

  const build = (id: string) => {
    const form = fields(zero, id);
    const talk = comments(zero, id);
    const heading = h('span', {class: 'key-of'});
    const footer = h('p', {class: 'facts'});
    const family = h('div', {class: 'family'});
    const body = h('div', {class: 'scroll'}, form.element, family, talk.element, footer);
    const back = h(
      'button',
      {
        type: 'button',
        class: 'quiet',
        'aria-label': 'Close the issue',
        title: 'Close (Esc)',
        on: {click: () => on.open(null)},
      },
      '✕',
    );
    const missing = h('p', {class: 'empty', hidden: true}, 'This issue is not there any more.');
    body.hidden = true;
    fill(element, h('header', {}, heading, h('span', {class: 'grow'}), back), missing, body);
    const render = (issue: ShownIssue | undefined, complete: boolean) => {
      body.hidden = !issue;
      missing.hidden = Boolean(issue) || !complete;
      if (!issue) return;
      heading.textContent = `${keyOf(issue)} · ${issue.project?.name ?? ''}`;
      form.update(issue);
      talk.update(issue.comments);
      fill(family, ...relatives(issue, on.open));
      footer.textContent = `Opened by ${issue.creator?.name ?? 'somebody'} ${ago(issue.created)}, updated ${ago(issue.updated)}`;
    };
    const view = zero.materialize(detailQuery(id));
    const removeListener = view.addListener((data, resultType) => {
      render(data as ShownIssue | undefined, resultType === 'complete');
    });
    close = () => {
      form.flush();
      removeListener();
      view.destroy();
    };
  };

  const nothing = () =>
    fill(
      element,
      h(
        'div',
        {class: 'nothing'},
        h('p', {}, 'Choose an issue to see it with its labels, sub-issues and comments.'),
      ),
    );
  // Walking through the list with a held key does not open each issue on the way.
  const open = later(40, (id: string | null) => {
    if (id === shown) return;
    close();
    close = () => {};
    shown = id;
    if (id) build(id);
    else nothing();
  });
  nothing();
  return {element, show: open};
};

const detailQuery = (id: string) =>
  zql.issue
    .where('id', id)
    .related('project')
    .related('creator')
    .related('assignee')
    .related('labels')
    .related('parent', parent => parent.related('project'))
    .related('children', child => child.related('project').orderBy('num', 'asc'))
    .related('comments', comment => comment.related('author').orderBy('created', 'asc'))
    .one();

const relatives = (issue: ShownIssue, open: (id: string) => void): readonly HTMLElement[] => {
  const link = (other: NonNullable<ShownIssue['parent']>) =>
    h(
      'button',
      {type: 'button', class: 'relative', on: {click: () => open(other.id)}},
      statusIcon(other.status),
      h('span', {class: 'key-of'}, keyOf(other)),
      h('span', {class: 'title'}, other.title),
    );
  return [
    ...(issue.parent ? [h('h3', {}, 'Part of'), link(issue.parent)] : []),
    ...(issue.children.length > 0 ? [h('h3', {}, 'Sub-issues'), ...issue.children.map(link)] : []),
  ];
};

import {ago, fill, h} from './dom.ts';
import {avatar, chip, priorityIcon, statusIcon} from './parts.ts';
import type {Status} from './schema.ts';

export interface ListedIssue {
  readonly id: string;
  readonly num: number | null | undefined;
  readonly title: string;
  readonly status: Status;
  readonly priority: number;
  readonly updated: number;
  readonly project: {readonly key: string} | undefined;
  readonly assignee: {readonly name: string; readonly color: string} | undefined;
  readonly labels: readonly {readonly id: string; readonly name: string; readonly color: string}[];
}

/** `WEB-12`; without a number while PostgreSQL has not given one. */
export const keyOf = (issue: {
  readonly num: number | null | undefined;
  readonly project: {readonly key: string} | undefined;
}): string => `${issue.project?.key ?? '?'}-${issue.num ?? '…'}`;

/** Shows the issue in the row. @returns true if it had shown something else or nothing before. */
export const updateRow = (element: HTMLElement, issue: ListedIssue, open: (id: string) => void): boolean => {
  const {id, title, status, priority, updated, assignee, labels} = issue;
  const signature = JSON.stringify([
    ...[keyOf(issue), title, status, priority, updated, assignee?.name],
    ...labels.map(label => label.name),
  ]);
  if (element.dataset['shows'] === signature) return false;
  element.dataset['shows'] = signature;
  const button =
    element.querySelector('button') ??
    element.appendChild(
      h('button', {type: 'button', class: 'row', on: {click: () => open(id), focus: () => open(id)}}),
    );
  fill(
    button,
    priorityIcon(priority),
    h('span', {class: 'key-of'}, keyOf(issue)),
    statusIcon(status),
    h('span', {class: 'title'}, title),
    h('span', {class: 'chips'}, ...labels.map(chip)),
    h(
      'time',
      {datetime: new Date(updated).toISOString(), title: new Date(updated).toLocaleString()},
      ago(updated),
    ),
    avatar(assignee),
  );
  return true;
};

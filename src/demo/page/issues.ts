import type {Zero} from '@rocicorp/zero';
import type {PageFacts} from '../page-facts.ts';
import {connect} from './connection.ts';
import {issueDetail} from './detail.ts';
import {byId, fill, h} from './dom.ts';
import {issueList} from './list.ts';
import {newIssue} from './new-issue.ts';
import {type Schema, schema} from './schema.ts';
import {tryIt} from './try-it.ts';

export type Client = Zero<Schema>;

/** The issue tracker. The open issue is named by the address, so that a second window shows the same. */
export const startIssues = (facts: PageFacts): void => {
  byId('subtitle').textContent = 'an issue tracker, live from PostgreSQL';
  const zero = connect(schema);
  const openIssue = () => decodeURIComponent(location.hash.slice(1)) || null;
  const open = (id: string | null) => {
    history.replaceState(null, '', id ? `#${encodeURIComponent(id)}` : location.pathname);
    show();
  };
  const add = newIssue(zero, open);
  const list = issueList(zero, {open, add: () => add.show()});
  const detail = issueDetail(zero, {open});
  const show = () => {
    const id = openIssue();
    list.select(id);
    detail.show(id);
    document.body.classList.toggle('with-detail', id !== null);
  };
  fill(byId('app'), tryIt(facts), h('main', {class: 'panes'}, list.element, detail.element), add.element);
  window.addEventListener('hashchange', show);
  document.addEventListener('keydown', event => {
    const typing = (event.target as Element).closest('input, textarea, select, dialog');
    if (event.key === 'Escape' && !add.element.open) {
      if (typing) (event.target as HTMLElement).blur();
      else open(null);
    } else if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === '/') list.search();
    else if (event.key === 'n') add.show();
    else return;
    event.preventDefault();
  });
  show();
};

import {ago, fill, h} from './dom.ts';
import type {Client} from './issues.ts';
import {me, setMe} from './me.ts';
import {avatar, setOptions} from './parts.ts';
import {zql} from './schema.ts';

export interface ShownComment {
  readonly id: string;
  readonly body: string;
  readonly created: number;
  readonly author: {readonly name: string; readonly color: string} | undefined;
}

/** What was said, and a field to say more. */
export const comments = (zero: Client, issueId: string) => {
  const list = h('ol', {class: 'comments'});
  const heading = h('h3', {});
  const text = h('textarea', {
    rows: '2',
    placeholder: 'Write a comment',
    'aria-label': 'Comment',
    required: true,
  });
  const author = h('select', {'aria-label': 'Write as', on: {change: () => setMe(author.value)}});
  zero.materialize(zql.person.orderBy('name', 'asc')).addListener(people =>
    setOptions(
      author,
      people.map(p => [p.id, p.name] as const),
      me(),
    ),
  );
  const send = (event: Event) => {
    event.preventDefault();
    const body = text.value.trim();
    if (!body) return;
    text.value = '';
    const now = Date.now();
    void zero.mutateBatch(async tx => {
      await tx.comment.insert({
        id: crypto.randomUUID(),
        issueId,
        authorId: author.value || me(),
        body,
        created: now,
      });
      await tx.issue.update({id: issueId, updated: now});
    });
  };
  const form = h(
    'form',
    {
      class: 'say',
      on: {
        submit: send,
        keydown: event => {
          const {key, ctrlKey, metaKey} = event as KeyboardEvent;
          if (key === 'Enter' && (ctrlKey || metaKey)) send(event);
        },
      },
    },
    text,
    h(
      'div',
      {class: 'buttons'},
      h('label', {class: 'inline'}, 'as ', author),
      h('span', {class: 'grow'}),
      h('button', {type: 'submit'}, 'Comment'),
    ),
  );
  return {
    element: h('div', {class: 'talk'}, heading, list, form),
    update: (said: readonly ShownComment[]) => {
      heading.textContent = said.length === 1 ? '1 comment' : `${said.length || 'No'} comments`;
      const signature = JSON.stringify(said);
      if (list.dataset['shows'] === signature) return;
      list.dataset['shows'] = signature;
      fill(
        list,
        ...said.map(comment =>
          h(
            'li',
            {},
            avatar(comment.author),
            h(
              'div',
              {},
              h(
                'p',
                {class: 'by'},
                h('b', {}, comment.author?.name ?? 'Somebody'),
                ` ${ago(comment.created)}`,
              ),
              h('p', {}, comment.body),
            ),
          ),
        ),
      );
    },
  };
};

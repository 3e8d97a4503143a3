import type {PageFacts} from '../page-facts.ts';
import {h} from './dom.ts';

/** What a newcomer does next: a second window, and PostgreSQL itself. */
export const tryIt = (facts: PageFacts): HTMLElement => {
  const answer = h('span', {class: 'answer', role: 'status'});
  const run = h('button', {type: 'button', on: {click: () => void runExample(run, answer)}}, 'Run it');
  return h(
    'section',
    {class: 'try', 'aria-label': 'Try it'},
    h(
      'div',
      {},
      h('h2', {}, 'Two windows'),
      h('p', {}, 'Edit in one, watch the other.'),
      h('button', {type: 'button', class: 'primary', on: {click: openSecond}}, 'Open a second window'),
    ),
    h(
      'div',
      {},
      h('h2', {}, 'psql'),
      h('p', {}, 'Change rows from anywhere: they follow here.'),
      code(`psql ${facts.connectionString}`),
    ),
    ...(facts.example
      ? [
          h(
            'div',
            {},
            h('h2', {}, 'An UPDATE to try'),
            code(facts.example),
            h('p', {class: 'run'}, run, answer),
          ),
        ]
      : []),
  );
};

const openSecond = () =>
  window.open(
    location.href,
    '_blank',
    `popup,width=${Math.min(1000, screen.availWidth / 2)},height=${Math.min(820, screen.availHeight)}`,
  );

const runExample = async (button: HTMLButtonElement, answer: HTMLElement) => {
  button.disabled = true;
  const pressedAt = performance.now();
  const shown = new Promise<number>(resolve =>
    document.addEventListener('rows-changed', () => resolve(performance.now() - pressedAt), {once: true}),
  );
  try {
    const response = await fetch('/demo/example', {method: 'POST', headers: {'X-Zerostream': '1'}});
    if (!response.ok) {
      const {message} = (await response.json()) as {message?: string};
      answer.textContent = `PostgreSQL refused it: ${message ?? response.status}`;
      return;
    }
    const ms = await Promise.race([shown, new Promise<null>(resolve => setTimeout(resolve, 5000, null))]);
    answer.textContent =
      ms === null
        ? 'Committed; none of its rows is in the list.'
        : `Committed and shown here in ${Math.round(ms)} ms`;
  } catch {
    answer.textContent = 'The server does not answer.';
  } finally {
    button.disabled = false;
  }
};

/** A line to copy. */
export const code = (text: string): HTMLElement => {
  const copy = h(
    'button',
    {
      type: 'button',
      class: 'copy',
      on: {
        click: () => {
          void navigator.clipboard.writeText(text).then(() => {
            copy.textContent = 'Copied';
            setTimeout(() => {
              copy.textContent = 'Copy';
            }, 1500);
          });
        },
      },
    },
    'Copy',
  );
  return h('div', {class: 'code'}, h('pre', {tabindex: '0'}, text), copy);
};

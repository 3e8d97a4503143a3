import {type DaemonInspection, faultsOf, pastFaultsOf} from '../inspection.ts';
import {durationText} from '../units.ts';
import {h} from './dom.ts';
import {table} from './tables.ts';

const PAST = 'past-faults';

/** What is wrong now, with what to do about it, and what was. */
export const faultsView = (
  now: DaemonInspection,
  open: ReadonlySet<string>,
  toggle: (key: string, isOpen: boolean) => void,
): HTMLElement[] => {
  const past = pastFaultsOf(now);
  const standing = faultsOf(now).map(({severity, code, what, remedy, sinceMs}) =>
    h(
      'li',
      {class: severity},
      h('b', {}, code),
      h(
        'span',
        {},
        `since ${new Date(sinceMs).toLocaleTimeString()} (${durationText(Math.max(0, now.atMs - sinceMs))})`,
      ),
      h('p', {}, what),
      h('p', {class: 'hint'}, remedy),
    ),
  );
  return [
    standing.length ? h('ul', {class: 'faults'}, ...standing) : h('p', {class: 'well'}, 'Nothing is wrong.'),
    ...(past.length
      ? [
          h(
            'details',
            {
              class: 'inner',
              open: open.has(PAST),
              toggle: event => toggle(PAST, (event.currentTarget as HTMLDetailsElement).open),
            },
            h('summary', {'data-key': PAST}, `${past.length} that are over`),
            table(
              ['from', 'for', 'code', 'what'],
              past
                .toReversed()
                .map(({sinceMs, untilMs, code, what}) => [
                  new Date(sinceMs).toLocaleString(),
                  durationText(untilMs - sinceMs),
                  code,
                  what,
                ]),
            ),
          ),
        ]
      : []),
  ];
};

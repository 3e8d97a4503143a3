import {h, icon} from './dom.ts';
import {PRIORITIES, STATUSES, type Status} from './schema.ts';

const STATUS_PATHS: Readonly<Record<Status, string>> = {
  open: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 1.6a4.6 4.6 0 1 1 0 9.2 4.6 4.6 0 0 1 0-9.2Z',
  doing:
    'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm0 1.6a4.6 4.6 0 1 1 0 9.2 4.6 4.6 0 0 1 0-9.2Zm0 1.4a3.2 3.2 0 0 1 0 6.4Z',
  done: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8Zm3.3 4.6L7.4 10.6a.8.8 0 0 1-1.2 0L4.7 9a.8.8 0 1 1 1.2-1.1l.9 1 3.3-3.6a.8.8 0 0 1 1.2 1.1Z',
};

export const statusIcon = (status: Status): Element => {
  const name = STATUSES.find(([value]) => value === status)?.[1] ?? status;
  return h(
    'span',
    {class: `status ${status}`, title: name, role: 'img', 'aria-label': name},
    icon(STATUS_PATHS[status]),
  );
};

/** Bars, more of them the more urgent. */
export const priorityIcon = (priority: number): Element => {
  const name = PRIORITIES[priority] ?? `Priority ${priority}`;
  const bars = [1, 2, 3, 4].map(n => h('i', {class: n <= 5 - priority ? 'on' : ''}));
  return h(
    'span',
    {class: `priority p${priority}`, title: name, role: 'img', 'aria-label': `Priority: ${name}`},
    ...bars,
  );
};

export const avatar = (person: {readonly name: string; readonly color: string} | undefined): Element => {
  if (!person) return h('span', {class: 'avatar nobody', title: 'Nobody assigned'});
  const initials = person.name
    .split(' ')
    .map(word => word[0])
    .join('')
    .slice(0, 2);
  const element = h('span', {class: 'avatar', title: person.name}, initials);
  element.style.setProperty('--tone', person.color);
  return element;
};

export const chip = (label: {readonly name: string; readonly color: string}): HTMLElement => {
  const element = h('span', {class: 'chip'}, label.name);
  element.style.setProperty('--tone', label.color);
  return element;
};

/** A select whose choices can change under a value that stays. */
export const setOptions = (
  select: HTMLSelectElement,
  options: readonly (readonly [value: string, name: string])[],
  value = select.value,
): void => {
  const wanted = JSON.stringify(options);
  if (select.dataset['options'] !== wanted) {
    select.dataset['options'] = wanted;
    select.replaceChildren(...options.map(([optionValue, name]) => h('option', {value: optionValue}, name)));
  }
  select.value = value;
};

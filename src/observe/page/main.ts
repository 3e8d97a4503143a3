import {type Lane, lanesOf} from '../flow.ts';
import type {DaemonInspection} from '../inspection.ts';
import {durationText} from '../units.ts';
import {detailView} from './detail.ts';
import {byId, replace} from './dom.ts';
import {faultsView} from './faults.ts';
import {History} from './history.ts';
import {Picture} from './picture.ts';
import {graphsView, groupsView, processesView, resetsView} from './tables.ts';
import {vitalsOf, vitalsView} from './vitals.ts';

/** What the page starts with: one inspection and the one before it, and whether more can be fetched from `./data`. */
interface Start {
  readonly before: DaemonInspection | null;
  readonly now: DaemonInspection;
  readonly live: boolean;
}

const start = JSON.parse(byId('data').textContent ?? '') as Start;
let {before, now} = start;
let chosen: string | null = null;
let paused = false;
/** Details that stay open when they are drawn anew. */
const opened = new Set<string>();
const history = new History();

const draw = (): void => {
  const lanes = lanesOf(now, before);
  byId('version').textContent = now.serverVersion;
  byId('summary').textContent = `task ${now.taskID} · up ${durationText(now.atMs - now.startedAtMs)}`;
  replace(byId('faults'), ...faultsView(now, opened, toggle));
  replace(byId('vitals'), ...vitalsView(vitalsOf(now, before, lanes), history));
  picture.show(now, lanes, chosen);
  replace(byId('detail'), ...detailView(lanes, chosen));
  // Whoever is about to copy something keeps what is marked.
  if (byId('tables').contains(getSelection()?.anchorNode ?? null) && !getSelection()?.isCollapsed) return;
  replace(byId('resets'), ...resetsView(now));
  replace(byId('graphs'), ...graphsView(now, opened, toggle));
  replace(byId('groups'), ...groupsView(now));
  replace(byId('processes'), ...processesView(now, before));
};

const toggle = (key: string, isOpen: boolean): void => {
  if (isOpen === opened.has(key)) return;
  if (isOpen) opened.add(key);
  else opened.delete(key);
  // What is closed is not drawn.
  draw();
};

const choose = (key: string): void => {
  chosen = key === chosen ? null : key;
  draw();
};

const picture = new Picture(byId('chain'), history, choose);

const remember = (lanes: readonly Lane[]): void => {
  for (const {process, chains} of lanes)
    for (const {stages} of chains)
      for (const stage of stages) history.add(`${process}/${stage.name}`, stage.inPerSecond);
  for (const {name, level} of vitalsOf(now, before, lanes))
    if (level !== null) history.add(`vital/${name}`, level);
};

const pulse = (text: string, state: 'live' | 'still' | 'lost'): void => {
  const element = byId('pulse');
  if (element.textContent !== text) element.textContent = text;
  element.dataset['state'] = state;
  document.documentElement.dataset['state'] = state;
};

const poll = async (): Promise<void> => {
  if (!paused)
    try {
      const response = await fetch('./data', {cache: 'no-store'});
      if (!response.ok) throw new Error(await response.text());
      before = now;
      now = (await response.json()) as DaemonInspection;
      // A server that was started again counts from zero.
      if (before.startedAtMs !== now.startedAtMs) before = null;
      remember(lanesOf(now, before));
      draw();
      pulse('live', 'live');
    } catch (error) {
      pulse(`no answer: ${(error as Error).message}`, 'lost');
    }
  setTimeout(() => void poll(), 1000);
};

const switchTheme = (): void => {
  const root = document.documentElement;
  const dark = root.dataset['theme']
    ? root.dataset['theme'] === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset['theme'] = dark ? 'light' : 'dark';
};

const pause = byId('pause');
const switchPause = (): void => {
  paused = !paused;
  pause.textContent = paused ? 'Go on' : 'Pause';
  pulse(paused ? 'paused' : 'live', paused ? 'still' : 'live');
};

byId('theme').addEventListener('click', switchTheme);
pause.addEventListener('click', switchPause);
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 't') switchTheme();
  else if (event.key === 'p' && start.live) switchPause();
  else if (event.key === 'Escape' && chosen) choose(chosen);
});

remember(lanesOf(now, before));
draw();
if (start.live) {
  pause.hidden = false;
  pulse('live', 'live');
  void poll();
} else pulse(`as of ${new Date(now.atMs).toLocaleString()}`, 'still');

import {lanesOf} from '../flow.ts';
import type {DaemonInspection} from '../inspection.ts';
import {durationText} from '../units.ts';
import {chainView, detailView, type History, remember} from './chain.ts';
import {byId, replace} from './dom.ts';
import {faultsView} from './faults.ts';
import {graphsView, groupsView, processesView, resetsView} from './tables.ts';

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
const history: History = new Map();

const draw = (): void => {
  const lanes = lanesOf(now, before);
  byId('version').textContent = now.serverVersion;
  byId('summary').textContent = `task ${now.taskID} · up ${durationText(now.atMs - now.startedAtMs)}`;
  replace(byId('faults'), ...faultsView(now, opened, toggle));
  replace(byId('chain'), ...chainView(now, lanes, history, chosen, choose));
  replace(byId('detail'), ...detailView(lanes, chosen));
  replace(byId('resets'), ...resetsView(now));
  replace(byId('graphs'), ...graphsView(now, opened, toggle));
  replace(byId('groups'), ...groupsView(now));
  replace(byId('processes'), ...processesView(now, before));
};

const toggle = (key: string, isOpen: boolean): void => {
  if (isOpen) opened.add(key);
  else opened.delete(key);
};

const choose = (key: string): void => {
  chosen = key === chosen ? null : key;
  draw();
};

const pulse = (text: string, state: 'live' | 'still' | 'lost'): void => {
  const element = byId('pulse');
  if (element.textContent !== text) element.textContent = text;
  element.dataset['state'] = state;
};

const poll = async (): Promise<void> => {
  if (!paused)
    try {
      const response = await fetch('./data', {cache: 'no-store'});
      if (!response.ok) throw new Error(await response.text());
      before = now;
      now = (await response.json()) as DaemonInspection;
      remember(history, lanesOf(now, before));
      draw();
      pulse('live', 'live');
    } catch (error) {
      pulse(`no answer: ${(error as Error).message}`, 'lost');
    }
  setTimeout(() => void poll(), 1000);
};

/** Arrow keys walk through the stages in reading order, as in a toolbar. */
document.addEventListener('keydown', event => {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  const stages = [...document.querySelectorAll<HTMLElement>('.stage')];
  const at = stages.indexOf(document.activeElement as HTMLElement);
  if (!step || at < 0) return;
  event.preventDefault();
  stages[(at + step + stages.length) % stages.length]?.focus();
});

byId('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset['theme']
    ? root.dataset['theme'] === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset['theme'] = dark ? 'light' : 'dark';
});

const pause = byId('pause');
pause.addEventListener('click', () => {
  paused = !paused;
  pause.textContent = paused ? 'Go on' : 'Pause';
  pulse(paused ? 'paused' : 'live', paused ? 'still' : 'live');
});

remember(history, lanesOf(now, before));
draw();
if (start.live) {
  pause.hidden = false;
  pulse('live', 'live');
  void poll();
} else pulse(`as of ${new Date(now.atMs).toLocaleString()}`, 'still');

import type {Lane, StageFlow} from '../flow.ts';
import {type DaemonInspection, isLive} from '../inspection.ts';
import {chainOf, followsNode} from '../topology.ts';
import {bytesText, counted, countText, durationText, percentText} from '../units.ts';
import {WIDTH} from './canvas.ts';
import {svg} from './dom.ts';
import type {History} from './history.ts';
import {type Layout, layoutOf, type Neighbours} from './layout.ts';
import type {PlacedFollower, PlacedStage, PlacedStore, PlacedWire} from './placed.ts';

/** Elements of one stage that change with every inspection. */
interface Drawn {
  readonly group: SVGElement;
  update(flow: StageFlow): void;
}

/**
 * The picture of the pipeline, drawn once for a set of stages and then kept up to date in place, so that what moves goes on
 * moving. A stage is a button: Enter or Space chooses it, the arrow keys go to the next one in their direction.
 */
export class Picture {
  readonly #element: HTMLElement;
  readonly #history: History;
  readonly #choose: (key: string) => void;
  #drawnOf = '';
  #layout: Layout | null = null;
  #stages = new Map<string, Drawn>();
  #updates: ((now: DaemonInspection, flows: ReadonlyMap<string, StageFlow>) => void)[] = [];

  constructor(element: HTMLElement, history: History, choose: (key: string) => void) {
    this.#element = element;
    this.#history = history;
    this.#choose = choose;
  }

  show(now: DaemonInspection, lanes: readonly Lane[], chosen: string | null): void {
    const flows = new Map<string, StageFlow>();
    for (const {process, chains} of lanes)
      for (const {stages} of chains) for (const stage of stages) flows.set(`${process}/${stage.name}`, stage);
    const neighbours = {follows: followsNode(now), followers: now.replicator?.subscribers.length ?? 0};
    const drawnOf = [...flows.keys(), neighbours.follows, neighbours.followers].join();
    if (drawnOf !== this.#drawnOf) this.#draw(lanes, neighbours);
    this.#drawnOf = drawnOf;
    for (const [key, {group, update}] of this.#stages) {
      const flow = flows.get(key);
      if (flow) update(flow);
      group.setAttribute('aria-pressed', String(key === chosen));
    }
    for (const update of this.#updates) update(now, flows);
  }

  #draw(lanes: readonly Lane[], neighbours: Neighbours): void {
    const focused = document.activeElement?.getAttribute('data-key');
    const layout = layoutOf(lanes, neighbours);
    this.#layout = layout;
    this.#stages = new Map();
    this.#updates = [];
    const root = svg('svg', {
      class: 'picture',
      viewBox: `0 0 ${WIDTH} ${layout.height}`,
      role: 'group',
      'aria-label': 'The stages from PostgreSQL to the clients',
    });
    for (const {process, x, y, width, height} of layout.lanes)
      root.append(
        rect('lane', {x, y, width, height}, 14),
        svg(
          'text',
          {class: 'lane-name', x: String(x + 16), y: String(y + 24)},
          laneTitle(process),
          this.#changing(svg('tspan', {class: 'lane-facts', dx: '14'}), now => laneFacts(now, process)),
        ),
      );
    for (const wire of layout.wires) root.append(...this.#wire(wire));
    for (const store of layout.stores) root.append(this.#store(store));
    for (const follower of layout.followers) root.append(this.#follower(follower));
    for (const stage of layout.stages) root.append(this.#stage(stage));
    this.#element.replaceChildren(root);
    if (focused) this.#stages.get(focused)?.group.focus({preventScroll: true});
  }

  #wire({d, head, key, side, to}: PlacedWire): SVGElement[] {
    const chain = chainOf(key.slice(key.indexOf('/') + 1));
    const line = svg('path', {class: `wire ${chain}`, d});
    const beads = svg('path', {class: `beads ${chain}`, d, 'aria-hidden': 'true'});
    const tip = svg('path', {class: `head ${chain}`, d: head});
    const parts = [line, beads, tip];
    this.#updates.push(({replicator}, flows) => {
      const apt = !to || replicator?.subscribers.some(({live}) => live === (to === 'live'));
      const flow = apt ? flows.get(key) : undefined;
      const perSecond = flow ? (side === 'in' ? flow.inPerSecond : flow.outPerSecond) : 0;
      for (const part of parts) part.classList.toggle('flowing', perSecond > 0);
      // With the logarithm of the rate: one a second and a thousand look different, and both can be followed.
      for (const animation of beads.getAnimations())
        animation.updatePlaybackRate(0.6 + 1.1 * Math.log10(1 + perSecond));
    });
    return parts;
  }

  #store({store, title, x, y, width, height}: PlacedStore): SVGElement {
    const tall = height > 120;
    const line = (at: number, of: (now: DaemonInspection) => string) =>
      this.#changing(text('store-facts', x + width / 2, at), of);
    const top = tall ? y + 46 : y + 25;
    const facts = STORE_FACTS[store];
    return svg(
      'g',
      {class: `store ${store}`},
      svg('path', {class: 'body', d: drum(x, y, width, height, tall ? 12 : 6)}),
      svg('path', {class: 'lid', d: lid(x, y, width, tall ? 12 : 6)}),
      text('store-name', x + width / 2, top, title),
      ...facts.map((of, i) => line(top + (tall ? 20 : 16) + i * 16, of)),
    );
  }

  #follower({index, more, x, y, width, height}: PlacedFollower): SVGElement {
    const of = ({replicator}: DaemonInspection) => replicator?.subscribers ?? [];
    const line = (name: string, at: number, say: (now: DaemonInspection) => string) =>
      this.#changing(text(name, x + width / 2, y + at), say);
    return svg(
      'g',
      {class: 'follower'},
      rect('body', {x, y, width, height}, 10),
      this.#changing(svg('title'), now =>
        of(now)
          .slice(index, more ? undefined : index + 1)
          .map(({taskID, address}) => `${taskID}, ${address}`)
          .join('; '),
      ),
      line('store-name', 21, now =>
        more ? `${of(now).length - index} more` : shortened(of(now)[index]?.taskID ?? ''),
      ),
      line('store-facts', 38, now => {
        const subscriber = of(now)[index];
        if (more || !subscriber) return more ? 'nodes' : '';
        if (!isLive(subscriber, now.replicator!)) return 'catching up';
        return subscriber.lagMs === null ? 'live' : `live · ${durationText(subscriber.lagMs)}`;
      }),
    );
  }

  #stage({key, x, y, width, height, small}: PlacedStage): SVGElement {
    const name = key.slice(key.indexOf('.') + 1);
    const rate = text('rate', x + width - 10, y + (small ? 25 : 21));
    const note = text('note', x + 10, y + height - 9);
    const [line, area] = [svg('path', {class: 'line'}), svg('path', {class: 'area'})];
    const [busy, waiting] = [
      rect('busy', {x: x + 10, y: 0, width: 0, height: 3}, 1.5),
      rect('waiting', {x, y: 0, width: 0, height: 3}, 1.5),
    ];
    const barAt = y + 58;
    const full = width - 20;
    const title = svg('title');
    const group = svg(
      'g',
      {
        class: `stage ${chainOf(key.slice(key.indexOf('/') + 1))}${small ? ' small' : ''}`,
        role: 'button',
        tabindex: '0',
        'data-key': key,
      },
      title,
      rect('card', {x, y, width, height}, small ? 20 : 10),
      text('name', x + (small ? 14 : 10), y + (small ? 25 : 21), name),
      rate,
      ...(small
        ? []
        : [
            svg('g', {transform: `translate(${x + 10} ${y + 29})`, 'aria-hidden': 'true'}, area, line),
            rect('load', {x: x + 10, y: barAt, width: full, height: 3}, 1.5),
            waiting,
            busy,
            note,
          ]),
    );
    group.addEventListener('click', () => this.#choose(key));
    group.addEventListener('keydown', event => this.#onKey(event as KeyboardEvent, key));
    const update = (flow: StageFlow) => {
      group.classList.toggle('idle', !flow.running && flow.inPerSecond === 0);
      group.classList.toggle('hot', flow.busy > 0.6);
      rate.textContent =
        small && (flow.inPerSecond === 0 || name.length > 9) ? '' : `${countText(flow.inPerSecond)}/s`;
      const told = noteOf(flow);
      note.textContent = told;
      group.setAttribute(
        'aria-label',
        `${name}, ${countText(flow.inPerSecond)} a second${told ? `, ${told}` : ''}`,
      );
      title.textContent = `busy ${percentText(flow.busy)}, waiting ${percentText(flow.waiting)}`;
      const curve = this.#history.curve(key, full, 24);
      line.setAttribute('d', curve.line);
      area.setAttribute('d', curve.area);
      for (const [bar, from, share] of [
        [busy, 0, flow.busy],
        [waiting, flow.busy, Math.min(flow.waiting, 1 - flow.busy)],
      ] as const) {
        bar.setAttribute('x', String(x + 10 + from * full));
        bar.setAttribute('y', String(barAt));
        bar.setAttribute('width', (share * full).toFixed(1));
      }
    };
    this.#stages.set(key, {group, update});
    return group;
  }

  #onKey(event: KeyboardEvent, key: string): void {
    if (event.key === 'Enter' || event.key === ' ') this.#choose(key);
    else {
      const direction = DIRECTIONS[event.key];
      if (!direction) return;
      const next = this.#layout && nearest(this.#layout.stages, key, direction);
      if (next) this.#stages.get(next)?.group.focus();
    }
    event.preventDefault();
  }

  #changing(element: SVGElement, of: (now: DaemonInspection) => string): SVGElement {
    this.#updates.push(now => {
      const value = of(now);
      if (element.textContent !== value) element.textContent = value;
    });
    return element;
  }
}

const DIRECTIONS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
};

/** The stage that comes next in a direction: what lies straight ahead before what lies aside. */
const nearest = (
  stages: readonly PlacedStage[],
  key: string,
  [dx, dy]: readonly [number, number],
): string | null => {
  const from = stages.find(stage => stage.key === key);
  if (!from) return null;
  let best: {key: string; far: number} | null = null;
  for (const to of stages) {
    const x = to.x - from.x;
    const y = to.y + to.height / 2 - from.y - from.height / 2;
    const ahead = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    // Rows are walked within themselves, columns also to what is a little aside.
    if (ahead <= 1 || (dx !== 0 && aside > 30)) continue;
    const far = ahead + aside * 1.5;
    if (!best || far < best.far) best = {key: to.key, far};
  }
  return best?.key ?? null;
};

const noteOf = ({lagMs, lagAgeMs, inFlight}: StageFlow): string => {
  if (inFlight) return `${countText(inFlight)} in flight`;
  // An old measure says nothing of now; the details have it, with its age.
  return lagMs !== null && lagAgeMs !== null && lagAgeMs < 10_000 ? `lag ${durationText(lagMs)}` : '';
};

const laneTitle = (process: string): string => process.replace('sync-worker-', 'sync worker ');

const laneFacts = ({replicator, workers}: DaemonInspection, process: string): string => {
  if (process === 'replicator' && replicator?.follows)
    return `${replicator.state} · applied ${replicator.appliedVersion ?? 'nothing yet'} · follows ${replicator.follows.uri}`;
  if (process === 'replicator')
    return replicator
      ? `${replicator.state} · applied ${replicator.appliedVersion ?? 'nothing yet'} · acknowledged ${replicator.ackedLsn ?? 'nothing yet'}`
      : '';
  const worker = workers.find(({index}) => process === `sync-worker-${index}`);
  return worker
    ? `at ${worker.version ?? 'nothing yet'} · ${counted(worker.graphs.length, 'query graph')} for ${counted(worker.groups.length, 'client group')}`
    : '';
};

const STORE_FACTS: Readonly<Record<PlacedStore['store'], readonly ((now: DaemonInspection) => string)[]>> = {
  postgres: [
    ({replicator}) => (replicator?.slot ? `slot ${replicator.slot.walStatus ?? ''}` : ''),
    ({replicator}) => {
      const kept = replicator?.slot?.retainedBytes;
      return kept === null || kept === undefined ? '' : `${bytesText(kept)} WAL`;
    },
  ],
  'replication-manager': [
    ({replicator}) => (replicator?.follows ? new URL(replicator.follows.uri).hostname : ''),
    ({replicator}) => (replicator?.lagMs == null ? '' : `lag ${durationText(replicator.lagMs)}`),
  ],
  replica: [({replicator}) => (replicator ? `${bytesText(replicator.replicaBytes)}, SQLite` : 'SQLite')],
  'change-log': [
    ({replicator}) => (replicator?.loggedVersion ? `at ${replicator.loggedVersion}` : 'PostgreSQL'),
  ],
  'view-records': [
    ({workers}) =>
      counted(
        workers.reduce((n, w) => n + w.groups.length, 0),
        'group',
      ),
  ],
  clients: [
    ({workers}) => {
      const n = workers.reduce((sum, w) => sum + w.groups.reduce((m, g) => m + g.clients.length, 0), 0);
      return `${countText(n)} connected`;
    },
  ],
};

/** As much of a task's ID as fits into a box: its end tells them apart. */
const shortened = (taskID: string): string => (taskID.length > 12 ? `…${taskID.slice(-10)}` : taskID);

const text = (className: string, x: number, y: number, content = ''): SVGElement =>
  svg('text', {class: className, x: String(x), y: String(y)}, content);

const rect = (
  className: string,
  {x, y, width, height}: {x: number; y: number; width: number; height: number},
  radius: number,
): SVGElement =>
  svg('rect', {
    class: className,
    x: String(x),
    y: String(y),
    width: String(width),
    height: String(height),
    rx: String(radius),
  });

/** A drum, as databases are drawn. */
const drum = (x: number, y: number, width: number, height: number, bulge: number): string =>
  `M${x} ${y + bulge}a${width / 2} ${bulge} 0 0 1 ${width} 0v${height - 2 * bulge}a${width / 2} ${bulge} 0 0 1 ${-width} 0z`;

const lid = (x: number, y: number, width: number, bulge: number): string =>
  `M${x} ${y + bulge}a${width / 2} ${bulge} 0 0 0 ${width} 0`;

type Child = Node | string | null | false | undefined;

interface Props {
  readonly class?: string;
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
  readonly [attribute: string]: unknown;
}

/** An element with attributes, listeners and children; `true` sets an attribute, `false` and undefined leave it out. */
export const h = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'on')
      for (const [type, listener] of Object.entries(props.on ?? {})) element.addEventListener(type, listener);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null)
      element.setAttribute(name, String(value));
  }
  fill(element, ...children);
  return element;
};

/** Replaces what the element holds. */
export const fill = (element: Element, ...children: readonly Child[]): void =>
  element.replaceChildren(...children.filter(child => child instanceof Node || typeof child === 'string'));

/** A picture of 16 × 16 by its path. */
export const icon = (path: string, className = ''): SVGSVGElement => {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', `icon ${className}`);
  svg.setAttribute('aria-hidden', 'true');
  const shape = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  shape.setAttribute('d', path);
  shape.setAttribute('fill-rule', 'evenodd');
  svg.append(shape);
  return svg;
};

export const byId = <T extends HTMLElement = HTMLElement>(id: string): T => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
};

/** Calls `work` once, `ms` after the last of many calls; `flush` does it now. */
export const later = <A extends readonly unknown[]>(ms: number, work: (...args: A) => void) => {
  let timer = 0;
  let waiting: A | null = null;
  const flush = () => {
    clearTimeout(timer);
    const args = waiting;
    waiting = null;
    if (args) work(...args);
  };
  const call = (...args: A) => {
    waiting = args;
    clearTimeout(timer);
    timer = window.setTimeout(flush, ms);
  };
  return Object.assign(call, {flush});
};

/** `3 min ago`. */
export const ago = (ms: number): string => {
  const seconds = (Date.now() - ms) / 1000;
  if (seconds < 45) return 'just now';
  const [value, unit] =
    seconds < 3600
      ? [seconds / 60, 'min']
      : seconds < 86_400
        ? [seconds / 3600, 'h']
        : seconds < 86_400 * 60
          ? [seconds / 86_400, 'd']
          : [seconds / (86_400 * 30.4), 'mo'];
  return `${Math.max(1, Math.round(value))} ${unit} ago`;
};

/** Draws the eye to what has just changed. */
export const flash = (element: HTMLElement) => {
  element.classList.remove('flash');
  // Read the layout, so that the animation begins again.
  void element.offsetWidth;
  element.classList.add('flash');
};

/// <reference lib="dom" />

type Child = Node | string | null | false;

/** An HTML element: attributes (a function is an event listener), then children. */
export const h = (
  tag: string,
  attributes: Readonly<Record<string, string | boolean | ((event: Event) => void)>> = {},
  ...children: readonly Child[]
): HTMLElement => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): SVGElement => fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);

const fill = <E extends Element>(
  element: E,
  attributes: Readonly<Record<string, string | boolean | ((event: Event) => void)>>,
  children: readonly Child[],
): E => {
  for (const [name, value] of Object.entries(attributes))
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (typeof value === 'string') element.setAttribute(name, value);
    else if (value) element.setAttribute(name, '');
  for (const child of children) if (child !== null && child !== false) element.append(child);
  return element;
};

export const byId = (id: string): HTMLElement => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
};

/** Replaces an element's contents; whatever had the focus keeps it, found again by its `data-key`. */
export const replace = (element: HTMLElement, ...children: readonly Child[]): void => {
  const focused = document.activeElement?.closest<HTMLElement>('[data-key]');
  const key = focused && element.contains(focused) ? focused.dataset['key'] : undefined;
  element.replaceChildren(...children.filter(child => child !== null && child !== false));
  if (key !== undefined)
    element.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus({preventScroll: true});
};

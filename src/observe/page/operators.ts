import type {GraphInspection} from '../inspection.ts';
import {counted, countText} from '../units.ts';
import {svg} from './dom.ts';

type Operator = GraphInspection['operators'][number];

/** An operator that reads rows, with what is done to them, and what hangs on them. */
interface Node {
  readonly steps: Operator[];
  readonly below: Node[];
}

const BOX = {width: 136, height: 40} as const;
const GAP = {x: 26, y: 10} as const;

/** A query graph as a picture: rows come from the source at the left and fetch what is related to them to the right. */
export const operatorsPicture = (operators: readonly Operator[]): SVGElement | null => {
  const root = treeOf(operators);
  if (!root) return null;
  const parts: SVGElement[] = [];
  const size = draw(root, 1, 1, null, parts);
  const [width, height] = [size.width + 2, size.height + 2];
  return svg(
    'svg',
    {
      class: 'operators',
      viewBox: `0 0 ${width} ${height}`,
      width: String(width),
      height: String(height),
      role: 'img',
      'aria-label': operators.map(({operator}) => operator).join(', '),
    },
    ...parts,
  );
};

/** Filter and take are steps of the operator above them; everything else reads rows of its own. */
const treeOf = (operators: readonly Operator[]): Node | null => {
  const path: Node[] = [];
  let root: Node | null = null;
  for (const operator of operators) {
    const parent = path[operator.depth - 1];
    if (parent && /^(filter|take)\b/.test(operator.operator)) {
      parent.steps.push(operator);
      continue;
    }
    const node: Node = {steps: [operator], below: []};
    if (parent) parent.below.push(node);
    else root ??= node;
    path.length = operator.depth;
    path.push(node);
  }
  return root;
};

/** @returns what it takes up from its place on. */
const draw = (
  {steps, below}: Node,
  x: number,
  y: number,
  from: readonly [number, number] | null,
  parts: SVGElement[],
): {readonly width: number; readonly height: number} => {
  const middle = y + BOX.height / 2;
  let right = x;
  steps.forEach((step, i) => {
    if (i > 0) parts.push(link([right, middle], [right + GAP.x, middle]));
    else if (from) parts.push(link(from, [x, middle]));
    if (i > 0) right += GAP.x;
    parts.push(box(step, right, y, i > 0));
    right += BOX.width;
  });
  let width = right - x;
  let height = 0;
  for (const child of below) {
    const taken = draw(child, right + GAP.x, y + height, [right, middle], parts);
    width = Math.max(width, right + GAP.x + taken.width - x);
    height += taken.height + GAP.y;
  }
  return {width, height: Math.max(BOX.height, height - GAP.y)};
};

const box = ({operator, rows, keys, sharedBy}: Operator, x: number, y: number, step: boolean): SVGElement =>
  svg(
    'g',
    {class: `operator${step ? ' step' : ''}${sharedBy > 1 ? ' shared' : ''}`},
    (operator.length > LONGEST || sharedBy > 1) &&
      svg(
        'title',
        {},
        sharedBy > 1 ? `${operator}, one of ${sharedBy} places that share these rows` : operator,
      ),
    svg('rect', {
      x: String(x),
      y: String(y),
      width: String(BOX.width),
      height: String(BOX.height),
      rx: '9',
    }),
    svg('text', {class: 'name', x: String(x + 10), y: String(y + 17)}, clipped(operator)),
    svg(
      'text',
      {class: 'facts', x: String(x + 10), y: String(y + 32)},
      `${counted(rows, 'row')}${keys > 1 ? ` by ${countText(keys)} keys` : ''}`,
    ),
  );

const LONGEST = 20;

const clipped = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);

const link = ([ax, ay]: readonly [number, number], [bx, by]: readonly [number, number]): SVGElement => {
  const middle = (ax + bx) / 2;
  return svg('path', {d: `M${ax} ${ay}C${middle} ${ay} ${middle} ${by} ${bx} ${by}`});
};

/** x and y in the picture's units. */
export type Point = readonly [number, number];

/** A triangle whose point is the last one. */
export const headOf = (points: readonly Point[]): string => {
  const [x, y] = points.at(-1) ?? [0, 0];
  const [fx, fy] = points.at(-2) ?? [0, 0];
  const [dx, dy] = [Math.sign(x - fx), Math.sign(y - fy)];
  return `M${x} ${y}l${-8 * dx - 4 * dy} ${-8 * dy - 4 * dx}l${8 * dy} ${8 * dx}z`;
};

const RADIUS = 9;

/** A line through the points, all at right angles, with round corners. */
export const rounded = (points: readonly Point[]): string =>
  points
    .map(([x, y], i) => {
      const before = points[i - 1];
      const after = points[i + 1];
      if (!before) return `M${x} ${y}`;
      if (!after) return `L${x} ${y}`;
      const [ax, ay] = toward([x, y], before);
      const [bx, by] = toward([x, y], after);
      return `L${ax} ${ay}Q${x} ${y} ${bx} ${by}`;
    })
    .join('');

const toward = ([x, y]: Point, [tx, ty]: Point): Point => [
  x + Math.sign(tx - x) * Math.min(RADIUS, Math.abs(tx - x) / 2),
  y + Math.sign(ty - y) * Math.min(RADIUS, Math.abs(ty - y) / 2),
];

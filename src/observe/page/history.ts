/** How many values a little curve shows. */
const POINTS = 40;

/** The last values of anything that has a name: the little curves. */
export class History {
  readonly #series = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#series.get(name);
    if (!values) this.#series.set(name, [value]);
    else if (values.push(value) > POINTS) values.shift();
  }

  /** A line and the area below it as SVG paths in a box of that size; the newest value is at its right end. */
  curve(name: string, width: number, height: number): {readonly line: string; readonly area: string} {
    const values = this.#series.get(name) ?? [];
    if (values.length === 0) return {line: '', area: ''};
    const top = Math.max(...values, Number.EPSILON);
    const step = width / (POINTS - 1);
    const x = (i: number) => (width - (values.length - 1 - i) * step).toFixed(1);
    const y = (value: number) => (height - 1 - (value / top) * (height - 2)).toFixed(1);
    const line = `M${values.map((value, i) => `${x(i)} ${y(value)}`).join('L')}`;
    return {line, area: `${line}L${width} ${height}L${x(0)} ${height}Z`};
  }
}

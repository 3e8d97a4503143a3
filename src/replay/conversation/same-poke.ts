type Message = readonly [string, {readonly rowsPatch?: readonly unknown[]}];

/**
 * Whether two lines say the same but for the order of the rows in a poke, which means nothing to a client: each is there
 * once. It depends on what the server had served before.
 */
export const samePoke = (a: string, b: string): boolean => {
  const [one, other] = [canonical(a), canonical(b)];
  return one !== null && one === other;
};

/** null: no poke. */
const canonical = (line: string): string | null => {
  const {on, messages} = JSON.parse(line) as {on: number; messages: readonly Message[]};
  if (messages[0]?.[0] !== 'pokeStart') return null;
  const rows: string[] = [];
  let rest: Record<string, unknown> = {};
  for (const [, {rowsPatch = [], ...fields}] of messages) {
    for (const row of rowsPatch) rows.push(JSON.stringify(row));
    rest = {...rest, ...fields};
  }
  return JSON.stringify([on, rest, rows.sort()]);
};

/**
 * The candidate most like `given`, or undefined when none is near enough to be meant: at most a third of the letters
 * differ. Swapped neighbours count as one difference, being the commonest slip.
 */
export const suggest = (given: string, candidates: Iterable<string>): string | undefined => {
  let best: string | undefined;
  let least = Math.floor(given.length / 3) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - given.length) >= least) continue;
    const distance = differences(given, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
};

/** `; did you mean X?`, or nothing. */
export const didYouMean = (given: string, candidates: Iterable<string>): string => {
  const best = suggest(given, candidates);
  return best === undefined ? '' : `; did you mean ${best}?`;
};

/** Letters to insert, delete, replace or swap with a neighbour to get from one word to the other. */
const differences = (a: string, b: string): number => {
  let beforeLast: number[] = [];
  let last = Array.from({length: b.length + 1}, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
};

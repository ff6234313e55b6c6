// Owns the guess at what a mistyped name was meant to be.

/** The candidate with the fewest edits from `name`; the first of several; '' when there is none. */
export function nearest(name: string, candidates: readonly string[]): string {
  let best = '';
  let fewest = Infinity;
  for (const candidate of candidates) {
    const count = edits(name, candidate);
    if (count >= fewest) continue;
    best = candidate;
    fewest = count;
  }
  return best;
}

/** Levenshtein's distance, a row at a time. */
function edits(left: string, right: string): number {
  let above = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    above = current;
  }
  return above.at(-1) ?? 0;
}

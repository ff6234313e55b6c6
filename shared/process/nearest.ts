// Owns the guess at what a mistyped name was meant to be.

/** The share of a name that a slip of the finger may change. */
const EDITED_MAX = 0.34;

/** The candidate with the fewest edits from `name`; the first of several; null when none is so near that it may have been meant. */
export function nearest(name: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let fewest = Math.max(1, Math.floor(name.length * EDITED_MAX)) + 1;
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

// Owns the order in which chains that wait for others are tried again: alone, all together, and then whatever else may belong together.

/** Up to so many, every pair and every set that lacks one is tried; of more, only blocks of neighbours. */
const EVERY_PAIR_MAX = 16;
/** So often a block is halved. */
const HALVINGS_MAX = 4;

/** Sets of places below `count`; each is tried with whatever of it still waits then. */
export function waitingSets(count: number): readonly (readonly number[])[] {
  const all = Array.from({ length: count }, (_, at) => at);
  const alone = all.map((at) => [at]);
  if (count < 2) return alone;
  if (count === 2) return [...alone, all];
  return [...alone, all, ...(count <= EVERY_PAIR_MAX ? restsAndPairs(all) : blocks(all))];
}

/** When one culprit keeps a longer chain from passing, all but that one; two whose values are swapped, a child and its parent. */
function restsAndPairs(all: readonly number[]): readonly (readonly number[])[] {
  const rests = all.map((left) => all.filter((at) => at !== left));
  const pairs = all.flatMap((one) => all.slice(one + 1).map((other) => [one, other]));
  return all.length === 3 ? pairs : [...rests, ...pairs];
}

function blocks(all: readonly number[]): readonly (readonly number[])[] {
  const sets: (readonly number[])[] = [];
  for (let halving = 1; halving <= HALVINGS_MAX; halving++) {
    const size = Math.ceil(all.length / 2 ** halving);
    if (size < 2) break;
    for (let from = 0; from < all.length; from += size) sets.push(all.slice(from, from + size));
  }
  return sets;
}

/** So many halvings find how far a chain of `length` can be placed. */
export function halvingsOf(length: number): number {
  return Math.floor(Math.log2(length)) + 1;
}

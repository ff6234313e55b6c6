// Proves the order in which steps that wait for others are tried again.
import { describe, expect, it } from 'vitest';
import { waitingSets } from '../../../consumers/lane/waiting-sets.ts';

describe('what waits is tried again', () => {
  it('alone, when nothing else waits', () => {
    expect(waitingSets(0)).toEqual([]);
    expect(waitingSets(1)).toEqual([[0]]);
  });

  it('alone first, then all together, then without each one and in pairs, and alone once more', () => {
    expect(waitingSets(3)).toEqual([
      ...[[0], [1], [2]],
      [0, 1, 2],
      ...[
        [1, 2],
        [0, 2],
        [0, 1],
      ],
      ...[
        [0, 1],
        [0, 2],
        [1, 2],
      ],
      ...[[0], [1], [2]],
    ]);
  });

  it('so often as grows with its number, however much waits', () => {
    for (const count of [12, 13, 1_000]) {
      const tries = waitingSets(count).reduce((sum, set) => sum + set.length, 0);
      expect(tries, String(count)).toBeLessThanOrEqual(count * 26);
    }
  });
});

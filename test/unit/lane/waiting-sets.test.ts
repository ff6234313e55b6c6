// Proves what must stay behind a command that waits, and the order in which chains of such are tried again.
import { describe, expect, it } from 'vitest';
import { chainsOf } from '../../../consumers/lane/waiting-chains.ts';
import { halvingsOf, waitingSets } from '../../../consumers/lane/waiting-sets.ts';
import type { Entry } from '../../../shared/command/entry.ts';
import { position } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';

describe('what waits is tried again', () => {
  it('alone, when nothing else waits', () => {
    expect(waitingSets(0)).toEqual([]);
    expect(waitingSets(1)).toEqual([[0]]);
  });

  it('alone first, then all together, then without each one and in pairs', () => {
    expect(waitingSets(2)).toEqual([[0], [1], [0, 1]]);
    expect(waitingSets(4)).toEqual([
      ...[[0], [1], [2], [3]],
      [0, 1, 2, 3],
      ...[
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
      ],
      ...[
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 2],
        [1, 3],
        [2, 3],
      ],
    ]);
  });

  it('so often as grows with its number, however much waits', () => {
    for (const count of [16, 17, 1_000]) {
      const tries = waitingSets(count).reduce((sum, set) => sum + set.length, 0);
      expect(tries, String(count)).toBeLessThanOrEqual(count * 32);
    }
  });
});

describe('what follows a waiting command in its batch', () => {
  it('is chained to it by its resource, and by its id', () => {
    const entries = [
      entry(1, 'a/1', 'one'),
      entry(2, 'a/2', 'two'),
      entry(3, 'a/3', 'one'),
      entry(4, 'a/1', 'four'),
      entry(5, 'a/3', 'five'),
      entry(6, 'a/2', 'six'),
    ];
    expect(positions(entries, [1])).toEqual([[1, 3, 4, 5]]);
    expect(positions(entries, [2, 5])).toEqual([[2, 6], [5]]);
  });

  it('makes one chain of two that it links, in the order of the log', () => {
    const entries = [
      entry(1, 'a/1', 'one'),
      entry(2, 'a/2', 'two'),
      entry(3, 'a/2', 'three'),
      entry(4, 'a/1', 'two'),
      entry(5, 'a/2', 'five'),
    ];
    expect(positions(entries, [1, 2])).toEqual([[1, 2, 3, 4, 5]]);
  });

  it('is placed by so many halvings as it takes, wherever the culprit stands', () => {
    for (const length of [1, 2, 3, 7, 8, 9, 1_000]) {
      for (const culprit of [0, 1, length - 1]) {
        let [done, most] = [0, length];
        for (let round = 0; round < halvingsOf(length); round++) {
          const half = done + Math.ceil((most - done) / 2);
          if (half > culprit) most = half - 1;
          else done = half;
        }
        expect(done, `${culprit} of ${length}`).toBe(Math.min(culprit, length));
      }
    }
  });
});

function entry(at: number, key: string, id: string): Entry {
  const [type = '', subject = ''] = key.split('/');
  const event = { specversion: '1.0', id, source: '/unit', type: `${type}.add`, subject, time: '2026-11-22T00:00:00Z' };
  const delivery = {
    position: position(at),
    bytes: Buffer.from(JSON.stringify({ ...event, data: {} })),
    headers: {},
    appendedAt: new Date(0),
  };
  const body = decodeDelivery(delivery);
  expect(body.kind).toBe('command');
  return { delivery, body };
}

function positions(entries: readonly Entry[], waits: readonly number[]): readonly (readonly number[])[] {
  return chainsOf(entries, new Set(waits.map((at) => position(at)))).map((chain) =>
    chain.entries.map(({ delivery }) => Number(delivery.position)),
  );
}

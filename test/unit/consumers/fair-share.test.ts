// Proves single steps of the rule of fair share; the property test beside it proves where they lead.
import { expect, test } from 'vitest';
import { fairShare } from '../../../consumers/leases/fair-share.ts';
import { partition, trustedUuid, type Uuid } from '../../../shared/command/identity.ts';

const nth = (letter: string): Uuid => trustedUuid(`${letter}0000000-0000-7000-8000-000000000000`);
const [a, b, c] = [nth('a'), nth('b'), nth('c')];

function step(
  holders: readonly (Uuid | null)[],
  me: Uuid,
  options: { consumers: readonly Uuid[]; leaving?: readonly number[] },
) {
  const leases = holders.map((holder, number) => ({ partition: partition(number), holder }));
  const leaving = new Set((options.leaving ?? []).map(partition));
  return fairShare({ consumers: options.consumers, leases }, me, leaving);
}

test('the first consumer takes everything', () => {
  expect(step([null, null, null], a, { consumers: [a] })).toEqual({ take: [0, 1, 2], giveBack: [] });
});

test('two that come at once take different partitions', () => {
  const consumers = [b, a];
  expect(step([null, null, null], a, { consumers }).take).toEqual([0, 1]);
  expect(step([null, null, null], b, { consumers }).take).toEqual([2]);
});

test('who holds too much gives back the surplus, and a newcomer waits until it is free', () => {
  const consumers = [a, b];
  expect(step([a, a, a, a], a, { consumers })).toEqual({ take: [], giveBack: [2, 3] });
  expect(step([a, a, a, a], b, { consumers })).toEqual({ take: [], giveBack: [] });
  expect(step([a, a, a, null], b, { consumers })).toEqual({ take: [3], giveBack: [] });
});

test('what is on its way out already is part of the surplus', () => {
  expect(step([a, a, a, a], a, { consumers: [a, b], leaving: [0] }).giveBack).toEqual([0, 3]);
  expect(step([a, a, a, a], a, { consumers: [a, b], leaving: [0, 1] }).giveBack).toEqual([0, 1]);
});

test('what somebody holds who is no consumer any more is not free, and nobody takes beyond its share meanwhile', () => {
  expect(step([c, c, null, null], a, { consumers: [a, b] })).toEqual({ take: [2, 3], giveBack: [] });
  expect(step([c, c, a, a], a, { consumers: [a, b] })).toEqual({ take: [], giveBack: [] });
});

test('a fair state moves nothing', () => {
  const consumers = [a, b, c];
  for (const me of consumers) expect(step([a, a, b, c], me, { consumers })).toEqual({ take: [], giveBack: [] });
});

test('who is not known to be there gives everything back', () => {
  expect(step([a, b], a, { consumers: [b] })).toEqual({ take: [], giveBack: [0] });
});

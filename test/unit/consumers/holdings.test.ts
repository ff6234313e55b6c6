// Proves what a process believes of its own leases, from the monotonic clock alone.
import { expect, test } from 'vitest';
import { Holdings } from '../../../consumers/leases/holdings.ts';
import { partition } from '../../../shared/command/identity.ts';

const [p0, p1, p2] = [partition(0), partition(1), partition(2)];

function bundle() {
  const holdings = new Holdings({ safeMs: 100, drainMs: 1_000 });
  holdings.taken([p0, p1], 0);
  return holdings;
}

test('a lease is safe until its deadline, counted from before it was asked for', () => {
  const holdings = bundle();
  expect(holdings.isSafe(p0, 99)).toBe(true);
  expect(holdings.isSafe(p0, 100)).toBe(false);
  expect(holdings.isSafe(p2, 0)).toBe(false);
  expect(holdings.nextLapseMs()).toBe(100);
});

test('what was not renewed in time is given back, and a late answer does not bring it back', () => {
  const holdings = bundle();
  expect(holdings.renewed(new Set([p0]), [p0], 50)).toEqual([]);
  expect(holdings.lapse(120)).toEqual([p1]);
  holdings.renewed(new Set([p0, p1]), [p0, p1], 110);
  expect([...holdings.held()]).toEqual([p0]);
  expect([...holdings.leaving()]).toEqual([p1]);
});

test('what somebody else has taken is lost at once', () => {
  const holdings = bundle();
  expect(holdings.renewed(new Set([p1]), [p0, p1], 10)).toEqual([p0]);
  expect([...holdings.held()]).toEqual([p1]);
});

test('a row is kept while its lane drains, and no longer than the drain may last', () => {
  const holdings = bundle();
  holdings.laneOpened(p0);
  holdings.giveBack([p0, p1], 10);
  expect(holdings.all()).toEqual([p0, p1]);
  expect(holdings.drained(20)).toEqual([p1]);
  holdings.freed([p1]);
  expect(holdings.drained(1_009)).toEqual([]);
  expect(holdings.drained(1_010)).toEqual([p0]);
  holdings.laneReleased(p0);
  expect(holdings.drained(20)).toEqual([p0]);
});

test('giving back twice does not lengthen the drain', () => {
  const holdings = bundle();
  holdings.laneOpened(p0);
  holdings.giveBack([p0], 10);
  holdings.giveBack([p0], 900);
  expect(holdings.drained(1_010)).toEqual([p0]);
});

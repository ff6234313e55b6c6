// Proves that nothing is forgotten which a lane may still meet.
import { expect, test } from 'vitest';
import { readUpTo } from '../../../consumers/housekeeping/horizon.ts';
import { partition, position } from '../../../shared/command/identity.ts';

const NOW = new Date('2026-11-22T10:00:00Z');
const EARLIER = new Date('2026-11-20T10:00:00Z');
const EARLIEST = new Date('2026-10-01T10:00:00Z');

const end = (number: number, next: number | null, waiting: number | null = null) => ({
  partition: partition(number),
  next: next === null ? null : position(next),
  waiting,
});
const lane = (number: number, next: number | null, lastAppendedAt: Date | null) => ({
  partition: partition(number),
  next: next === null ? null : position(next),
  lastAppendedAt,
});

test('when every lane has read to the end, it is now, however old the last entries are', () => {
  expect(readUpTo(NOW, [end(0, 7), end(1, 9)], [lane(0, 7, EARLIEST), lane(1, 9, EARLIER)])).toEqual(NOW);
});

test('the lane that is farthest behind decides', () => {
  const ends = [end(0, 8), end(1, 10), end(2, 3)];
  const lanes = [lane(0, 7, EARLIER), lane(1, 9, EARLIEST), lane(2, 3, EARLIEST)];
  expect(readUpTo(NOW, ends, lanes)).toEqual(EARLIEST);
});

test('a partition that was never read and is not empty keeps everything', () => {
  expect(readUpTo(NOW, [end(0, 7), end(1, 1)], [lane(0, 7, EARLIER), lane(1, null, null)])).toBe(null);
  expect(readUpTo(NOW, [end(0, 7), end(1, 1)], [lane(0, 7, EARLIER)])).toBe(null);
});

test('an empty log holds nothing back', () => {
  expect(readUpTo(NOW, [end(0, 0)], [lane(0, null, null)])).toEqual(NOW);
});

test('where positions are not stored, what waits at the broker decides', () => {
  expect(readUpTo(NOW, [end(0, null, 0)], [lane(0, null, EARLIER)])).toEqual(NOW);
  expect(readUpTo(NOW, [end(0, null, 1)], [lane(0, null, EARLIER)])).toEqual(EARLIER);
  expect(readUpTo(NOW, [end(0, null, null)], [lane(0, null, EARLIER)])).toEqual(EARLIER);
});

test('a transport that names no partition keeps everything', () => {
  expect(readUpTo(NOW, [], [])).toBe(null);
});

// Owns the proof that a lane is warned of in time, before the topic forgets what it has not read.
import { expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import type { Clock } from '../../../shared/process/time.ts';
import { LagWarnings } from '../../../shared/transport/kafka/lag-warnings.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const [P0, P1] = [partition(0), partition(1)];

function bundle(retentionMs?: number) {
  const details: string[] = [];
  const at = { ms: 100 * DAY_MS };
  const clock: Clock = { now: () => new Date(at.ms), monotonicMs: () => at.ms, sleep: () => Promise.resolve() };
  const lag = new LagWarnings((event) => void (event.kind === 'log-warned' && details.push(event.detail)), clock);
  if (retentionMs !== undefined) lag.retentionMs = retentionMs;
  const readBehind = (partitionOf: typeof P0, ms: number) => lag.read(partitionOf, new Date(at.ms - ms));
  return { details, at, readBehind };
}

test('a lane that lags a quarter of the retention behind is warned of, with its number, its lag and what to do', () => {
  const { details, readBehind } = bundle(8 * DAY_MS);
  readBehind(P1, 2 * DAY_MS);
  expect(details).toEqual([]);
  readBehind(P1, 2 * DAY_MS + 1_000);
  expect(details).toEqual([
    'partition 1 is 172801 s behind, and the topic keeps 691200 s: add consumers or keep entries longer, before commands are lost',
  ]);
});

test('once an hour for each partition, however much it reads', () => {
  const { details, at, readBehind } = bundle(DAY_MS);
  for (const each of [P0, P0, P1, P0]) readBehind(each, 7 * HOUR_MS);
  expect(details).toHaveLength(2);
  at.ms += HOUR_MS;
  readBehind(P0, 7 * HOUR_MS);
  expect(details).toHaveLength(3);
});

test('a topic that keeps everything, or was not looked at yet, loses nothing', () => {
  for (const retentionMs of [undefined, Infinity]) {
    const { details, readBehind } = bundle(retentionMs);
    readBehind(P0, 90 * DAY_MS);
    expect(details).toEqual([]);
  }
});

test('a broker’s clock that is ahead of ours is no lag', () => {
  const { details, readBehind } = bundle(DAY_MS);
  readBehind(P0, -90 * DAY_MS);
  expect(details).toEqual([]);
});

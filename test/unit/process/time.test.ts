// The system's clock: sleep ends in time or when it is woken, and leaves nothing behind on the signal.
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { systemClock, WOKEN } from '../../../shared/process/time.ts';

const LONG_MS = 60_000;

test('a sleep lasts as long as it should, and leaves nothing on its signal', async () => {
  const { signal } = new AbortController();
  const from = systemClock.monotonicMs();
  await systemClock.sleep(30, signal);
  expect(systemClock.monotonicMs() - from).toBeGreaterThan(25);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('who is woken, or was before falling asleep, goes on at once', async () => {
  const woken = new AbortController();
  const asleep = systemClock.sleep(LONG_MS, woken.signal);
  woken.abort(WOKEN);
  await asleep;
  expect(getEventListeners(woken.signal, 'abort')).toEqual([]);
  await systemClock.sleep(LONG_MS, woken.signal);
});

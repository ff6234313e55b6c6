// The newest value for whoever reads: none in between for a slow one, and an end.
import { expect, test } from 'vitest';
import { Latest } from '../../../shared/process/latest.ts';

test('a slow reader gets the newest value and none in between', async () => {
  const latest = new Latest(0);
  const reader = latest[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe(0);
  latest.set(1);
  latest.set(2);
  expect((await reader.next()).value).toBe(2);
  const waiting = reader.next();
  latest.set(3);
  expect((await waiting).value).toBe(3);
  latest.end();
  expect((await reader.next()).done).toBe(true);
});

// Owns waiting for an end that may not come: what is not done by then is abandoned.
import type { Clock } from '../../shared/process/time.ts';

/** Resolves when `work` has ended, or after `ms`; rejects as `work` does, if that comes first. */
export async function inTime(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const ended = new AbortController();
  try {
    await Promise.race([work, clock.sleep(ms, ended.signal)]);
  } finally {
    ended.abort();
  }
}

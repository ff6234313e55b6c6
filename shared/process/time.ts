// Owns time and randomness as parameters, and the one formula for backing off.

export interface Clock {
  /** Wall clock. For records only; never for a deadline. */
  now(): Date;
  /** Milliseconds that never go back. For every deadline. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  // Not the one of node:timers/promises: it makes an error with a stack for whoever is woken, and lanes are, all the time.
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal?.addEventListener('abort', end, { once: true });
    }),
};

/** The reason with which a sleeper is woken that is woken often: an abort without one makes an error with a stack. */
export const WOKEN = 'woken';

/** Resolves after `ms`, when `lost` aborts, or when what `watch` is given is called; `watch` returns how that is called off. */
export async function sleepUntilWoken(
  clock: Clock,
  ms: number,
  lost: AbortSignal,
  watch: (wake: () => void) => () => void,
): Promise<void> {
  const over = new AbortController();
  const wake = () => {
    over.abort(WOKEN);
  };
  const unwatch = watch(wake);
  lost.addEventListener('abort', wake, { once: true });
  try {
    await clock.sleep(ms, over.signal);
  } finally {
    unwatch();
    lost.removeEventListener('abort', wake);
  }
}

/**
 * Resolves when `work` has ended, or after `ms`; rejects as `work` does, if that comes first. What is not done by then is abandoned,
 * and no timer is left behind to keep the process.
 */
export async function inTime(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const ended = new AbortController();
  try {
    await Promise.race([work, clock.sleep(ms, ended.signal)]);
  } finally {
    ended.abort();
  }
}

/** A number in [0, 1). */
export type Random = () => number;

/** Exponential with full jitter in its upper half: attempt 1 waits 50–100 % of `firstMs`, doubling up to `maxMs`. Pure. */
export function backoffMs(attempt: number, random: Random, limits = { firstMs: 50, maxMs: 5_000 }): number {
  const whole = Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(attempt - 1, 20));
  return whole * (0.5 + random() / 2);
}

// Owns waiting with an end: what does not come in time fails with a sentence that says what was waited for.
import { setTimeout as timer } from 'node:timers/promises';

export async function within<T>(
  patienceMs: number,
  what: string | (() => string),
  work: (isOver: () => boolean) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const late = timer(patienceMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`waited ${patienceMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
  });
  // Aborted when the work was in time.
  late.catch(() => undefined);
  let isOver = false;
  try {
    return await Promise.race([work(() => isOver), late]);
  } finally {
    isOver = true;
    over.abort();
  }
}

/** Resolves once `holds` does; it is asked again and again, as nothing tells. */
export async function eventually(
  patienceMs: number,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  await within(patienceMs, what, async (isOver) => {
    while (!isOver() && !(await holds())) await timer(10);
  });
}

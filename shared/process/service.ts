// Owns the shape of everything long-lived: who starts it stops it; stopping is idempotent and has a deadline.

/**
 * start(): resolves when the service works; throws when it cannot, and has then left nothing behind.
 * stop(): no new work, finish what runs, release; idempotent; also after a failed start. Resolves within `deadlineMs`, having
 * abandoned what did not finish.
 */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(deadlineMs: number): Promise<void>;
}

/** Starts in order; when one fails, stops those before it in reverse and rethrows. */
export async function startAll(services: readonly Service[], stopDeadlineMs: number): Promise<void> {
  const started: Service[] = [];
  try {
    for (const service of services) {
      started.push(service);
      await service.start();
    }
  } catch (cause) {
    await stopAll(started, stopDeadlineMs);
    throw cause;
  }
}

/** Stops in reverse order within one common deadline; a failing stop does not keep the others from stopping. */
export async function stopAll(services: readonly Service[], deadlineMs: number): Promise<readonly Error[]> {
  const until = performance.now() + deadlineMs;
  const failures: Error[] = [];
  for (const service of [...services].reverse()) {
    try {
      await service.stop(Math.max(0, until - performance.now()));
    } catch (cause) {
      failures.push(new Error(`${service.name} did not stop cleanly`, { cause }));
    }
  }
  return failures;
}

// Owns the making of a service out of something that is open already and only needs to be closed in its turn.
import type { Service } from '../../shared/process/service.ts';
import { inTime, type Clock } from '../../shared/process/time.ts';

export function closingService(of: {
  readonly name: string;
  close(): Promise<unknown>;
  readonly clock: Clock;
}): Service {
  let closed: Promise<unknown> | null = null;
  return {
    name: of.name,
    start: () => Promise.resolve(),
    stop: (deadlineMs) => inTime((closed ??= of.close()), deadlineMs, of.clock),
  };
}

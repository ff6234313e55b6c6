// Owns the event that tells which partitions a consumer holds: once for each change, not for each turn.
import type { Partition } from '../../shared/command/identity.ts';
import type { Observe } from '../../shared/process/events.ts';

export type Report = (held: Iterable<Partition>, consumers: number) => void;

export function changeReport(observe: Observe): Report {
  let reported = '';
  return (held, consumers) => {
    const event = { held: [...held].sort((a, b) => a - b), consumers };
    const report = JSON.stringify(event);
    if (report === reported) return;
    reported = report;
    observe({ kind: 'leases-changed', ...event });
  };
}

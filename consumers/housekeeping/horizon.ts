// Owns how far the lanes have read, in time: what is dated before it can be met by no lane any more. Pure.
import type { Partition, Position } from '../../shared/command/identity.ts';
import type { PartitionEnd } from '../../shared/transport/transport.ts';

export interface Progress {
  readonly partition: Partition;
  /** Position to read next; null: never read. */
  readonly next: Position | null;
  /** Append time of the last entry applied. */
  readonly lastAppendedAt: Date | null;
}

/**
 * No lane will ever be given an entry appended before this time; null: nobody can tell. Retention is counted from here and not from
 * the wall clock: after an outage longer than the retention, the backlog must still find the outcomes it may repeat.
 * `askedAt` was taken before `ends` were asked for, and `progress` was read after them.
 */
export function readUpTo(askedAt: Date, ends: readonly PartitionEnd[], progress: readonly Progress[]): Date | null {
  const ofPartition = new Map(progress.map((each) => [each.partition, each]));
  let upTo = askedAt;
  for (const end of ends) {
    const lane = ofPartition.get(end.partition);
    if (isCaughtUp(end, lane?.next ?? null)) continue;
    if (lane === undefined || lane.lastAppendedAt === null) return null;
    if (lane.lastAppendedAt < upTo) upTo = lane.lastAppendedAt;
  }
  return ends.length === 0 ? null : upTo;
}

/** Everything that stood in the log when it was asked has been applied. */
function isCaughtUp(end: PartitionEnd, next: Position | null): boolean {
  if (end.waiting === 0) return true;
  return end.next !== null && (next ?? 0n) >= end.next;
}

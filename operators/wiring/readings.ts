// Owns what an operator is told about a system: how far lanes are behind, who reads what, what is set aside.
import type { Partition, Position } from '../../shared/command/identity.ts';
import {
  readConsumers,
  readHeld,
  readPartitions,
  readSetAside,
  type ConsumerStatus,
  type HeldResource,
  type PartitionStatus,
  type SetAside,
} from '../../shared/postgres/status-reads.ts';
import type { Readings } from '../../shared/process/metrics.ts';
import type { PartitionEnd } from '../../shared/transport/transport.ts';
import type { Foundation } from './foundation.ts';

export interface PartitionReading {
  readonly status: PartitionStatus;
  readonly lagEntries: number;
  /** Age of the oldest entry that waits, at most: its lane's last entry is older. 0 when nothing waits. */
  readonly lagSeconds: number;
}

export interface SystemReading {
  readonly partitions: readonly PartitionReading[];
  readonly consumers: readonly ConsumerStatus[];
  readonly setAside: SetAside;
  /** The longest held, HELD_SHOWN_MAX at most. */
  readonly held: readonly HeldResource[];
}

/** Who has more to repair than this repairs the oldest first. */
export const HELD_SHOWN_MAX = 10;

type Source = Pick<Foundation, 'database' | 'transport'>;

/** Rejects when the database or the broker is away. */
export async function readSystemStatus(from: Source, now: Date): Promise<SystemReading> {
  const [partitions, consumers, setAside, held] = await Promise.all([
    readLag(from, now),
    readConsumers(from.database),
    readSetAside(from.database),
    readHeld(from.database, HELD_SHOWN_MAX),
  ]);
  return { partitions, consumers, setAside, held };
}

/**
 * For scrapes. Remembers when a partition was last seen without a backlog: nothing that waits now can have waited before, so
 * that an entry after a quiet night is not taken for one of yesterday.
 */
export function metricsReadings(from: Source, now: () => Date): () => Promise<Readings> {
  const emptyAt = new Map<Partition, Date>();
  return async () => {
    const at = now();
    const [partitions, setAside] = await Promise.all([readLag(from, at), readSetAside(from.database)]);
    const lag = partitions.map(({ status: { partition }, lagEntries, lagSeconds }) => {
      if (lagEntries === 0) emptyAt.set(partition, at);
      const seen = emptyAt.get(partition);
      const seconds = seen === undefined ? lagSeconds : Math.min(lagSeconds, secondsBetween(seen, at));
      return { partition, entries: lagEntries, seconds };
    });
    return { lag, parked: setAside.parked, held: setAside.holds, strays: setAside.strays };
  };
}

async function readLag({ database, transport }: Source, now: Date): Promise<readonly PartitionReading[]> {
  // Ends after positions: a lane is never shown ahead of its log.
  const statuses = await readPartitions(database);
  const ends = new Map((await transport.ends()).map((end) => [end.partition, end]));
  return statuses.map((status) => {
    const lagEntries = entriesBehind(status.next, ends.get(status.partition));
    const since = status.lastAppendedAt ?? status.claimedAt ?? now;
    return { status, lagEntries, lagSeconds: lagEntries === 0 ? 0 : secondsBetween(since, now) };
  });
}

function entriesBehind(next: Position | null, end: PartitionEnd | undefined): number {
  if (end === undefined) return 0;
  if (end.waiting !== null) return end.waiting;
  return Math.max(0, Number((end.next ?? 0n) - (next ?? 0n)));
}

function secondsBetween(from: Date, to: Date): number {
  return Math.max(0, (to.getTime() - from.getTime()) / 1_000);
}

// Owns a transport over the log in memory whose publishes a test can hold back, cut short, or lose the answers of.
import type { Partition } from '../../../shared/command/identity.ts';
import { memoryTransport, type MemoryLog } from '../../../shared/transport/memory/index.ts';
import type { PublishResult, Publisher, Routed, Transport } from '../../../shared/transport/transport.ts';

/** What becomes of one partition's part of a publish. `stored` entries first; then, for the rest, how it is told. */
export interface Fate {
  readonly stored: number;
  readonly rest: 'stored' | 'refused' | 'refused-for-good' | 'unknown';
  /** `lost`: also the stored ones are answered `unknown`. */
  readonly answer: 'given' | 'lost';
  /** The first of the rest is refused for good. */
  readonly refusedFirst?: boolean;
}

export const GOES_WELL: Fate = { stored: 0, rest: 'stored', answer: 'given' };
export const ANSWER_LOST: Fate = { stored: 0, rest: 'stored', answer: 'lost' };
export const NEVER_ARRIVES: Fate = { stored: 0, rest: 'unknown', answer: 'given' };
export const REFUSED: Fate = { stored: 0, rest: 'refused', answer: 'given' };

export interface FaultyTransport extends Pick<Transport, 'openPublisher' | 'traits'> {
  /** Every call, as it was made. */
  readonly calls: (readonly Routed[])[];
  /** Partitions that had two publishes in flight at a time; must stay empty. */
  readonly overlaps: Partition[];
  fate: (partition: Partition, entries: readonly Routed[]) => Fate;
  /** While set, calls wait for it before anything is stored. */
  gate: Promise<void> | null;
  /** While set, no publisher can be opened. */
  isAway: boolean;
}

export function faultyTransport(log: MemoryLog): FaultyTransport {
  const inner = memoryTransport(log);
  const busy = new Set<Partition>();
  const faulty: FaultyTransport = {
    traits: { ...inner.traits, carriedBy: 'the database' },
    calls: [],
    overlaps: [],
    fate: () => GOES_WELL,
    gate: null,
    isAway: false,
    openPublisher: async () => {
      if (faulty.isAway) throw new Error('away, as the test wants it');
      const publisher = await inner.openPublisher();
      return { publish: (batch) => publish(faulty, { busy, publisher }, batch), close: () => publisher.close() };
    },
  };
  return faulty;
}

async function publish(
  faulty: FaultyTransport,
  { busy, publisher }: { readonly busy: Set<Partition>; readonly publisher: Publisher },
  batch: readonly Routed[],
): Promise<readonly PublishResult[]> {
  const partitions = new Set(batch.map((routed) => routed.partition));
  faulty.calls.push(batch);
  for (const partition of partitions) {
    if (busy.has(partition)) faulty.overlaps.push(partition);
    busy.add(partition);
  }
  if (faulty.gate !== null) await faulty.gate;
  const results = new Map<Routed, PublishResult>();
  for (const partition of partitions) {
    const entries = batch.filter((routed) => routed.partition === partition);
    const told = await publishOne(publisher, faulty.fate(partition, entries), entries);
    entries.forEach((routed, at) => results.set(routed, told[at] ?? lost()));
  }
  for (const partition of partitions) busy.delete(partition);
  return batch.map((routed) => results.get(routed) ?? lost());
}

async function publishOne(
  publisher: Publisher,
  fate: Fate,
  entries: readonly Routed[],
): Promise<readonly PublishResult[]> {
  const count = fate.rest === 'stored' ? entries.length : Math.min(fate.stored, entries.length);
  const stored = await publisher.publish(entries.slice(0, count));
  if (fate.answer === 'lost') return entries.map(lost);
  return entries.map((_, at) => {
    if (at === count && fate.refusedFirst === true) return told('refused-for-good');
    return stored[at] ?? told(fate.rest);
  });
}

function told(rest: Fate['rest']): PublishResult {
  if (rest === 'unknown') return lost();
  return { kind: 'refused', reason: 'as the test wants it', retry: rest === 'refused' };
}

function lost(): PublishResult {
  return { kind: 'unknown', cause: new Error('the answer got lost, as the test wants it') };
}

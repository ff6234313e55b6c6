// Owns the log in memory: the reference of what a log is. It survives transports, so that several of them act as several processes.
import type { Delivery } from '../../command/entry.ts';
import { partition as partitionAt, position, type Partition, type Position } from '../../command/identity.ts';
import { BEHIND_REFUSED, admit, entryBytes } from '../admission.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import type { PublishResult, Routed } from '../transport.ts';

export interface MemoryLogOptions {
  /** Provisioned at once. */
  readonly partitions?: number;
  /** Past it, entries are refused until lanes have settled some. */
  readonly bytesMax?: number;
  /** Per partition; older settled entries are dropped, never the last settled one. */
  readonly settledEntriesKept?: number;
}

const BYTES_MAX = 1024 * 1024 * 1024;
const SETTLED_ENTRIES_KEPT = 10_000;
/** Dropped entries are cut off the array only now and then: cutting moves what stays. */
const CUT_ENTRIES_MIN = 4_096;

/** Entries from `offset` on; those before `head` (an index) are dropped. Positions are safe integers inside, bigint outside. */
interface PartitionLog {
  entries: Delivery[];
  offset: number;
  head: number;
  settled: number;
  /** How often the log went back or was made again. */
  turns: number;
  readonly waiting: Set<() => void>;
}

export class MemoryLog {
  #partitions: readonly PartitionLog[] = [];
  #bytes = 0;
  #away: Error | null = null;
  readonly #bytesMax: number;
  readonly #settledKept: number;

  constructor(options: MemoryLogOptions) {
    this.#bytesMax = options.bytesMax ?? BYTES_MAX;
    this.#settledKept = options.settledEntriesKept ?? SETTLED_ENTRIES_KEPT;
    if (options.partitions !== undefined) this.provision(options.partitions);
  }

  provision(partitions: number): void {
    this.reach();
    if (this.#partitions.length === 0) this.#partitions = Array.from({ length: partitions }, emptyPartition);
    else if (this.#partitions.length !== partitions) throw new LogPartitionsDiffer(this.#partitions.length, partitions);
  }

  get partitions(): readonly Partition[] {
    return this.#partitions.map((_, index) => partitionAt(index));
  }

  append(batch: readonly Routed[], appendedAt: Date): readonly PublishResult[] {
    const full = new Set<Partition>();
    const touched = new Set<Partition>();
    const results = admit(batch, this.#partitions.length).map((refusal, index): PublishResult => {
      const routed = batch[index];
      if (refusal !== null || routed === undefined) return refusal ?? BEHIND_REFUSED;
      const size = entryBytes(routed);
      if (full.has(routed.partition) || this.#bytes + size > this.#bytesMax) {
        full.add(routed.partition);
        return { kind: 'refused', reason: 'the log in memory is full', retry: true };
      }
      this.#bytes += size;
      touched.add(routed.partition);
      return { kind: 'stored', position: push(this.#of(routed.partition), routed, appendedAt) };
    });
    for (const partition of touched) this.#wake(partition);
    return results;
  }

  /** Of the first entry that is kept, and of the next one that will come. */
  bounds(partition: Partition): { readonly first: number; readonly end: number } {
    const log = this.#of(partition);
    return { first: log.offset + log.head, end: log.offset + log.entries.length };
  }

  /** Changes when entries that were there are not there any more, or others in their place. */
  turns(partition: Partition): number {
    return this.#of(partition).turns;
  }

  at(partition: Partition, at: Position): Delivery | null {
    const log = this.#of(partition);
    const index = Number(at) - log.offset;
    return index < log.head ? null : (log.entries[index] ?? null);
  }

  /** From `from` on, at most `count` entries and `bytes` bytes; the first one whatever its size. */
  read(partition: Partition, from: number, limit: { readonly count: number; readonly bytes: number }): Delivery[] {
    const { entries, offset } = this.#of(partition);
    const start = from - offset;
    const stop = Math.min(entries.length, start + limit.count);
    let end = start;
    for (let bytes = 0; end < stop; end++) {
      bytes += entries[end]?.bytes.length ?? 0;
      if (bytes > limit.bytes && end > start) break;
    }
    return entries.slice(start, end);
  }

  settle(partition: Partition, through: Position): void {
    const log = this.#of(partition);
    log.settled = Math.min(Math.max(log.settled, Number(through) + 1), log.offset + log.entries.length);
    // The last settled entry stays: a lane begins there to see that the log is still the same.
    const keep = Math.max(1, this.#settledKept);
    this.#drop(log, log.settled - keep);
  }

  unsettled(partition: Partition): number {
    const log = this.#of(partition);
    return log.offset + log.entries.length - Math.max(log.settled, log.offset + log.head);
  }

  /** Calls `wake` at every change of the partition, until the returned function is called. */
  watch(partition: Partition, wake: () => void): () => void {
    const { waiting } = this.#of(partition);
    waiting.add(wake);
    return () => waiting.delete(wake);
  }

  /** Throws when the broker is away. */
  reach(): void {
    if (this.#away !== null) throw this.#away;
  }

  // What a test may do to a log.

  /** Broker away: everything rejects or is refused, until restore(). */
  cut(cause: Error = new Error('the log in memory is away')): void {
    this.#away = cause;
    for (const partition of this.partitions) this.#wake(partition);
  }

  restore(): void {
    this.#away = null;
    for (const partition of this.partitions) this.#wake(partition);
  }

  /** Retention took everything before `before`, settled or not. */
  truncate(partition: Partition, before: Position): void {
    this.#drop(this.#of(partition), Number(before));
  }

  /** The log went back in time: the entry at `to` and all after it are gone. */
  stepBack(partition: Partition, to: Position): void {
    const log = this.#of(partition);
    const keep = Math.max(0, Number(to) - log.offset);
    for (const entry of log.entries.slice(Math.max(keep, log.head))) this.#bytes -= entryBytes(entry);
    log.entries.length = Math.min(log.entries.length, keep);
    log.head = Math.min(log.head, keep);
    log.settled = Math.min(log.settled, log.offset + keep);
    log.turns++;
    this.#wake(partition);
  }

  /** Deleted and made again: every partition is empty and begins at 0. */
  recreate(): void {
    for (const log of this.#partitions) {
      Object.assign(log, { entries: [], offset: 0, head: 0, settled: 0, turns: log.turns + 1 });
    }
    this.#bytes = 0;
    for (const partition of this.partitions) this.#wake(partition);
  }

  #drop(log: PartitionLog, before: number): void {
    const head = Math.min(Math.max(log.head, before - log.offset), log.entries.length);
    for (let index = log.head; index < head; index++) {
      const entry = log.entries[index];
      if (entry !== undefined) this.#bytes -= entryBytes(entry);
    }
    log.head = head;
    if (head < CUT_ENTRIES_MIN || head * 2 < log.entries.length) return;
    log.entries = log.entries.slice(head);
    log.offset += head;
    log.head = 0;
  }

  #wake(partition: Partition): void {
    for (const wake of this.#of(partition).waiting) wake();
  }

  #of(partition: Partition): PartitionLog {
    const log = this.#partitions[partition];
    if (log === undefined) throw new LogPartitionsDiffer(this.#partitions.length, partition + 1);
    return log;
  }
}

function emptyPartition(): PartitionLog {
  return { entries: [], offset: 0, head: 0, settled: 0, turns: 0, waiting: new Set() };
}

function push(log: PartitionLog, routed: Routed, appendedAt: Date): Position {
  const at = position(log.offset + log.entries.length);
  log.entries.push({ position: at, bytes: routed.bytes, headers: routed.headers, appendedAt });
  return at;
}

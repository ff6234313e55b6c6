// Owns what this process knows of its own leases: until when each is safe to act on, and which are on their way out. No I/O.
import type { Partition } from '../../shared/command/identity.ts';

// A partition is, for this process, in one of these:
//   unheld   no lease                                        → held when taken
//   held     in `mine` until its deadline                    → leaving when given back, lapsed or lost
//   leaving  not in `mine`; its lane finishes meanwhile,     → unheld when its row was freed: once no lane is open,
//            the row is still renewed                          or when the drain's time is over
// A lapsed or lost partition passes through `leaving` like any other: it is never taken anew while its old lane is open.
type Holding =
  { readonly kind: 'held'; readonly untilMs: number } | { readonly kind: 'leaving'; readonly drainUntilMs: number };

export interface HoldingTimes {
  /** How long after it was asked for a lease is safe to act on; less than what the table says. */
  readonly safeMs: number;
  readonly drainMs: number;
}

/** All times are of the monotonic clock. */
export class Holdings {
  readonly #times: HoldingTimes;
  readonly #holdings = new Map<Partition, Holding>();
  readonly #openLanes = new Set<Partition>();

  constructor(times: HoldingTimes) {
    this.#times = times;
  }

  held(): ReadonlySet<Partition> {
    return new Set(this.#of('held'));
  }

  leaving(): ReadonlySet<Partition> {
    return new Set(this.#of('leaving'));
  }

  /** Held or leaving: the rows to renew. */
  all(): readonly Partition[] {
    return [...this.#holdings.keys()];
  }

  isSafe(partition: Partition, nowMs: number): boolean {
    const holding = this.#holdings.get(partition);
    return holding?.kind === 'held' && nowMs < holding.untilMs;
  }

  isOpen(partition: Partition): boolean {
    return this.#openLanes.has(partition);
  }

  laneOpened(partition: Partition): void {
    this.#openLanes.add(partition);
  }

  laneReleased(partition: Partition): void {
    this.#openLanes.delete(partition);
  }

  /** The row is ours. `askedMs`: taken before the statement was sent, so that the table's expiry is never earlier than ours. */
  taken(partitions: readonly Partition[], askedMs: number): void {
    const untilMs = askedMs + this.#times.safeMs;
    for (const partition of partitions) this.#holdings.set(partition, { kind: 'held', untilMs });
  }

  /** Returns what was held and is somebody else's now. */
  renewed(partitions: ReadonlySet<Partition>, asked: readonly Partition[], askedMs: number): readonly Partition[] {
    const lost: Partition[] = [];
    for (const partition of asked) {
      const holding = this.#holdings.get(partition);
      if (holding?.kind !== 'held') continue;
      if (partitions.has(partition)) this.taken([partition], askedMs);
      else lost.push(partition);
    }
    this.giveBack(lost, askedMs);
    return lost;
  }

  /** What is leaving already keeps its deadline. */
  giveBack(partitions: Iterable<Partition>, nowMs: number): void {
    for (const partition of partitions) {
      if (this.#holdings.get(partition)?.kind !== 'held') continue;
      this.#holdings.set(partition, { kind: 'leaving', drainUntilMs: nowMs + this.#times.drainMs });
    }
  }

  /** Gives back what is not safe any more; returns it. */
  lapse(nowMs: number): readonly Partition[] {
    const lapsed = this.#of('held').filter((partition) => !this.isSafe(partition, nowMs));
    this.giveBack(lapsed, nowMs);
    return lapsed;
  }

  /** Leaving, and nobody works on it any more, or for too long. */
  drained(nowMs: number): readonly Partition[] {
    return [...this.#holdings].flatMap(([partition, holding]) =>
      holding.kind === 'leaving' && (!this.#openLanes.has(partition) || nowMs >= holding.drainUntilMs)
        ? [partition]
        : [],
    );
  }

  freed(partitions: readonly Partition[]): void {
    for (const partition of partitions) this.#holdings.delete(partition);
  }

  /** When the next holding lapses; null when none is held. */
  nextLapseMs(): number | null {
    const until = [...this.#holdings.values()].flatMap((holding) => (holding.kind === 'held' ? [holding.untilMs] : []));
    return until.length === 0 ? null : Math.min(...until);
  }

  #of(kind: Holding['kind']): Partition[] {
    return [...this.#holdings].flatMap(([partition, holding]) => (holding.kind === kind ? [partition] : []));
  }
}

// Owns which lanes exist in a subscription, from the partitions that are given to it: yielding, losing, and yielding anew.
import { asError, invariant } from '../process/errors.ts';
import type { Partition } from '../command/identity.ts';
import type { Lane } from './transport.ts';

/** What an adapter's lane is born with. */
export interface Hold {
  readonly partition: Partition;
  /** Aborts when the partition leaves `mine`, the subscription stops or closes, or the adapter gives it up. */
  readonly lost: AbortSignal;
  /** Idempotent; from then on the partition can be yielded anew. */
  readonly release: () => void;
}

// A partition is, at any time, in one of these:
//   foreign  not in `mine`, no lane           → free when it enters `mine`
//   free     in `mine`, no lane               → held when lanes() yields it; foreign when it leaves `mine`
//   held     a lane is out, lost not aborted  → lost when it leaves `mine`, on stop, on close, or by lose()
//   lost     a lane is out, lost aborted      → free or foreign when it is released
// Stopped, free partitions stay free: nothing is yielded any more.
export class LaneRoster {
  readonly #open: (hold: Hold) => Lane;
  readonly #mayYield: () => boolean;
  readonly #held = new Map<Partition, AbortController>();
  #mine: ReadonlySet<Partition> = new Set();
  #state: 'fresh' | 'yielding' | 'stopped' = 'fresh';
  #failure: Error | null = null;
  #wakeUp: () => void = () => undefined;
  #source: AsyncIterator<ReadonlySet<Partition>> | null = null;

  /** `mayYield`: asked before a free partition is yielded; after a no, `wake` has it asked again. */
  constructor(
    mine: AsyncIterable<ReadonlySet<Partition>>,
    open: (hold: Hold) => Lane,
    mayYield: () => boolean = () => true,
  ) {
    this.#open = open;
    this.#mayYield = mayYield;
    this.#source = mine[Symbol.asyncIterator]();
    // Never rejects: what `mine` throws is kept for lanes().
    void this.#follow(this.#source);
  }

  async *lanes(stop: AbortSignal): AsyncGenerator<Lane, void, undefined> {
    invariant(this.#state !== 'yielding', 'lanes() is called once per subscription');
    const end = () => {
      this.stop();
    };
    if (this.#state === 'fresh') this.#state = 'yielding';
    if (stop.aborted) end();
    stop.addEventListener('abort', end, { once: true });
    try {
      for (;;) {
        const partition = this.#firstFree();
        if (partition !== null) yield this.#hold(partition);
        else if (this.#state === 'stopped' && this.#held.size === 0) break;
        else await new Promise<void>((resolve) => (this.#wakeUp = resolve));
      }
    } finally {
      stop.removeEventListener('abort', end);
      this.stop();
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** Every lane is lost, and none is yielded any more. Idempotent. */
  stop(): void {
    this.#state = 'stopped';
    this.#replace(new Set());
    const source = this.#source;
    this.#source = null;
    // Not awaited: a generator that waits for its next item would answer only then.
    source?.return?.().catch(() => undefined);
  }

  /** Something may be yielded that could not be before. */
  wake(): void {
    this.#wakeUp();
  }

  /** The adapter found that this lane must begin anew. */
  lose(partition: Partition): void {
    this.#held.get(partition)?.abort();
  }

  async #follow(source: AsyncIterator<ReadonlySet<Partition>>): Promise<void> {
    try {
      for (let item = await source.next(); item.done !== true; item = await source.next()) {
        if (this.#state === 'stopped') return;
        this.#replace(item.value);
      }
    } catch (cause) {
      this.#failure = asError(cause);
      this.#state = 'stopped';
    }
    this.#replace(new Set());
  }

  #replace(mine: ReadonlySet<Partition>): void {
    this.#mine = mine;
    for (const [partition, lost] of this.#held) if (!mine.has(partition)) lost.abort();
    this.#wakeUp();
  }

  #firstFree(): Partition | null {
    if (this.#state === 'stopped' || !this.#mayYield()) return null;
    for (const partition of this.#mine) if (!this.#held.has(partition)) return partition;
    return null;
  }

  #hold(partition: Partition): Lane {
    const lost = new AbortController();
    this.#held.set(partition, lost);
    const release = () => {
      if (this.#held.get(partition) !== lost) return;
      this.#held.delete(partition);
      this.#wakeUp();
    };
    return this.#open({ partition, lost: lost.signal, release });
  }
}

// Owns a subscription as the suite uses it: lanes are taken by partition, and `mine` is set at will.
import assert from 'node:assert/strict';
import type { Delivery } from '../../../shared/command/entry.ts';
import type { Partition } from '../../../shared/command/identity.ts';
import type { Lane, Subscription, Transport } from '../../../shared/transport/transport.ts';
import { within } from './within.ts';

/** The partitions leased to a process, as its leases would say. The newest set counts. */
export class Mine implements AsyncIterable<ReadonlySet<Partition>> {
  #news: ReadonlySet<Partition> | null;
  #state: 'open' | 'ended' = 'open';
  #wake: () => void = () => undefined;

  constructor(first: Iterable<Partition>) {
    this.#news = new Set(first);
  }

  set(partitions: Iterable<Partition>): void {
    this.#news = new Set(partitions);
    this.#wake();
  }

  end(): void {
    this.#state = 'ended';
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReadonlySet<Partition>> {
    for (;;) {
      const news = this.#news;
      this.#news = null;
      if (news !== null) yield news;
      else if (this.#state === 'ended') return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export class Consumer {
  readonly mine: Mine;
  readonly subscription: Subscription;
  /** Resolves when lanes() ends. */
  readonly ended: Promise<void>;
  readonly #patienceMs: number;
  readonly #stop = new AbortController();
  readonly #yielded: Lane[] = [];
  readonly #all: Lane[] = [];
  #closed: Promise<void> | null = null;
  readonly #wakers = new Set<() => void>();

  private constructor(mine: Mine, subscription: Subscription, patienceMs: number) {
    this.mine = mine;
    this.subscription = subscription;
    this.#patienceMs = patienceMs;
    this.ended = this.#collect();
    this.ended.catch(() => undefined);
  }

  static async open(transport: Transport, mine: Mine, patienceMs: number): Promise<Consumer> {
    return new Consumer(mine, await transport.openSubscription(mine), patienceMs);
  }

  /** The next lane of this partition that is yielded and was not taken yet. */
  lane(partition: Partition): Promise<Lane> {
    return within(this.#patienceMs, `a lane of partition ${partition}`, async () => {
      for (;;) {
        const at = this.#yielded.findIndex((lane) => lane.partition === partition);
        const [lane] = at === -1 ? [] : this.#yielded.splice(at, 1);
        if (lane !== undefined) return lane;
        await new Promise<void>((resolve) => this.#wakers.add(resolve));
      }
    });
  }

  /** Lanes that were yielded and not taken. */
  get waiting(): readonly Lane[] {
    return this.#yielded;
  }

  stop(): void {
    this.#stop.abort();
  }

  /** In good order: every lane is released, lanes() ends, the subscription closes. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.stop();
    for (const lane of this.#all) await lane.release();
    await within(this.#patienceMs, 'lanes() to end after stop, when every lane was released', () => this.ended);
    await this.subscription.close();
  }

  async #collect(): Promise<void> {
    for await (const lane of this.subscription.lanes(this.#stop.signal)) {
      this.#all.push(lane);
      this.#yielded.push(lane);
      for (const wake of this.#wakers) wake();
      this.#wakers.clear();
    }
  }
}

export const A_BATCH = { count: 500, bytes: 1024 * 1024, waitMs: 250 } as const;

/** Exactly `count` deliveries, whatever batches they come in. */
export function take(
  lane: Lane,
  count: number,
  patienceMs: number,
  limit: Parameters<Lane['next']>[0] = A_BATCH,
): Promise<readonly Delivery[]> {
  const taken: Delivery[] = [];
  return within(
    patienceMs,
    () => `${count} entries of partition ${lane.partition}; ${taken.length} have come`,
    async (isOver) => {
      while (taken.length < count && !isOver()) {
        const batch = await lane.next({ ...limit, count: Math.min(limit.count, count - taken.length) });
        assert.ok(batch.length <= limit.count, `at most ${limit.count} deliveries were asked for`);
        assert.ok(batch.length > 0 || !lane.lost.aborted, 'the lane was lost while it was read');
        taken.push(...batch);
      }
      return taken;
    },
  );
}

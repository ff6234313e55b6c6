// Owns what the lanes of a process share: the group's membership, the byte budget, hints of what is settled, and watching over both.
import type { Delivery } from '../../command/entry.ts';
import type { Partition, Position, Uuid } from '../../command/identity.ts';
import { asError, type OnelaneError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import { Latest } from '../../process/latest.ts';
import { inTime, type Clock } from '../../process/time.ts';
import { InboxBudget } from '../inbox.ts';
import { LaneRoster, type Hold } from '../lane-roster.ts';
import type { Lane, Subscription } from '../transport.ts';
import type { KafkaClientGiven } from './client.ts';
import type { Bounds } from './cluster-view.ts';
import type { Fetched, Taken } from './fetched.ts';
import { GroupLink, type LinkListener } from './group-link.ts';
import { KafkaLane } from './lane.ts';
import { LaneSilent } from './lane-silent.ts';
import type { LagWarnings } from './lag-warnings.ts';

export interface KafkaSubscriptionGiven {
  readonly client: KafkaClientGiven;
  readonly topic: string;
  readonly groupId: string;
  readonly partitions: number;
  readonly systemId: Uuid;
  readonly sessionMs: number;
  readonly inboxBytesMax: number;
  /** How long a lane's holder may do nothing with it. */
  readonly silenceMs?: number;
  readonly bounds: () => Promise<readonly Bounds[]>;
  readonly lag: LagWarnings;
  readonly observe: Observe;
  readonly clock: Clock;
}

const SILENCE_MS_MAX = 300_000;
const HINT_EVERY_MS = 1_000;
const HINT_MS_MAX = 500;
/** Read ahead as far as the setting allows, and no further than this: more costs memory and makes nothing faster. */
const AHEAD_BYTES_MAX = 12 * 1024 * 1024;
/** Of all partitions together: what there is no room for is fetched again. */
const FETCH_BYTES_MAX = 4 * 1024 * 1024;
/** More than any batch of records may have: a broker gives a batch that is larger only to the first partition of a fetch. */
const PARTITION_BYTES_MAX = 1024 * 1024 + 64 * 1024;

export class KafkaSubscription implements Subscription, LinkListener {
  readonly budget: InboxBudget;
  readonly #given: KafkaSubscriptionGiven;
  /** Of one partition. */
  readonly #fetchBytes: number;
  readonly #group: GroupLink;
  readonly #roster: LaneRoster;
  readonly #assigned = new Latest<ReadonlySet<Partition>>(new Set());
  readonly #lanes = new Map<Partition, KafkaLane>();
  readonly #settled = new Map<Partition, bigint>();
  readonly #closing = new AbortController();
  readonly #silenceMs: number;
  #tending: Promise<void> | null = null;
  #isAway = false;
  #left: Promise<void> | null = null;

  private constructor(given: KafkaSubscriptionGiven) {
    this.#given = given;
    this.#silenceMs = given.silenceMs ?? SILENCE_MS_MAX;
    const bytesMax = Math.min(given.inboxBytesMax, AHEAD_BYTES_MAX);
    this.budget = new InboxBudget({ bytesMax, inboxesMax: given.partitions });
    this.#fetchBytes = Math.floor(Math.min(PARTITION_BYTES_MAX, bytesMax / 2 / given.partitions));
    this.#group = new GroupLink({
      ...given,
      fetch: { partitionBytes: PARTITION_BYTES_MAX, bytes: Math.min(FETCH_BYTES_MAX, bytesMax) },
      on: this,
    });
    this.#roster = new LaneRoster(
      this.#assigned,
      (hold) => this.#open(hold),
      () => this.#group.isKnown(),
    );
  }

  /** Rejects with a sentence when no broker can be reached. */
  static async open(given: KafkaSubscriptionGiven): Promise<KafkaSubscription> {
    const subscription = new KafkaSubscription(given);
    await subscription.#group.start();
    subscription.#tending = subscription.#tend();
    return subscription;
  }

  /** After `stop` the group is left at once: whoever takes over waits at the claim for what is still being committed here. */
  async *lanes(stop: AbortSignal): AsyncGenerator<Lane, void, undefined> {
    const leave = () => void this.#leave();
    if (stop.aborted) leave();
    stop.addEventListener('abort', leave, { once: true });
    try {
      yield* this.#roster.lanes(stop);
    } finally {
      stop.removeEventListener('abort', leave);
    }
  }

  async close(): Promise<void> {
    this.#roster.stop();
    this.#assigned.end();
    this.#closing.abort();
    await this.#leave();
    await this.#tending;
  }

  assigned(partitions: ReadonlySet<Partition>): void {
    if (this.#isAway) this.#given.observe({ kind: 'connection-restored', what: 'consumer group' });
    this.#isAway = false;
    this.#assigned.set(partitions);
    for (const [partition, lane] of this.#lanes) if (partitions.has(partition)) lane.doubted();
  }

  doubted(): void {
    for (const lane of this.#lanes.values()) lane.doubted();
  }

  fetched(fetched: Fetched): Taken {
    const lane = this.#lanes.get(fetched.partition);
    if (lane !== undefined) return lane.fetched(fetched);
    this.#group.pause(fetched.partition);
    return null;
  }

  skipped(partition: Partition, first: number, last: number): void {
    this.#lanes.get(partition)?.skipped(first, last);
  }

  lost(cause: OnelaneError): void {
    if (!this.#isAway) this.#given.observe({ kind: 'connection-lost', what: 'consumer group', cause });
    this.#isAway = true;
    for (const lane of this.#lanes.values()) lane.away(cause);
  }

  #open(hold: Hold): Lane {
    const { systemId, clock, bounds, lag } = this.#given;
    const { partition } = hold;
    const lane = new KafkaLane(hold, {
      group: this.#group,
      budget: this.budget,
      fetchBytes: this.#fetchBytes,
      systemId,
      clock,
      bounds: async () => boundsOf(partition, await bounds()),
      onSettled: (through: Position) => void this.#settled.set(partition, through + 1n),
      onRead: (newest: Delivery) => lag.read(partition, newest.appendedAt),
      onReleased: (released) => {
        if (this.#lanes.get(partition) === released) this.#lanes.delete(partition);
        this.#claim();
      },
    });
    this.#lanes.set(partition, lane);
    this.#claim();
    lane.lost.addEventListener('abort', () => this.#claim(), { once: true });
    return lane;
  }

  #claim(): void {
    const held: Partition[] = [];
    const stuck: Partition[] = [];
    for (const { partition, lost } of this.#lanes.values()) (lost.aborted ? stuck : held).push(partition);
    this.#group.claim({ held, stuck });
  }

  #leave(): Promise<void> {
    return (this.#left ??= this.#hint().then(() => this.#group.close()));
  }

  /** Never rejects. */
  async #tend(): Promise<void> {
    const { clock } = this.#given;
    while (!this.#closing.signal.aborted) {
      await clock.sleep(HINT_EVERY_MS, this.#closing.signal);
      await this.#hint();
      this.#roster.wake();
      const silent = [...this.#lanes.values()].find((lane) => !lane.lost.aborted && lane.silentMs() > this.#silenceMs);
      if (silent !== undefined) this.#giveUp(silent);
    }
  }

  #giveUp(lane: KafkaLane): void {
    this.#group.rest(
      new LaneSilent(
        `partition ${lane.partition} has made no progress for ${this.#silenceMs / 1_000} s: it is given to other consumers, and asked for again`,
      ),
    );
    this.#assigned.set(new Set());
  }

  /** What was settled since the last time, of what is still ours. Never rejects, and does not wait for ever. */
  async #hint(): Promise<void> {
    const ours = this.#assigned.value;
    const offsets = new Map([...this.#settled].filter(([partition]) => ours.has(partition)));
    this.#settled.clear();
    if (offsets.size > 0) await inTime(this.#commit(offsets), HINT_MS_MAX, this.#given.clock);
  }

  /** What got lost goes with the next, unless that is newer. */
  async #commit(offsets: ReadonlyMap<Partition, bigint>): Promise<void> {
    try {
      await this.#group.commit(offsets);
    } catch (thrown) {
      for (const [partition, offset] of offsets) {
        if (!this.#settled.has(partition)) this.#settled.set(partition, offset);
      }
      const [first] = offsets.keys();
      this.#given.observe({ kind: 'settle-failed', partition: first ?? 0, cause: asError(thrown) });
    }
  }
}

function boundsOf(partition: Partition, all: readonly Bounds[]): Bounds {
  return all[partition] ?? { first: 0, end: 0 };
}

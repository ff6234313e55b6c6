// Owns what the lanes of a process share: a connection to consume, one for their stamps, and the byte budget.
import type { Partition, Uuid } from '../../command/identity.ts';
import type { OnelaneError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock, Random } from '../../process/time.ts';
import { InboxBudget } from '../inbox.ts';
import { LaneRoster, type Hold } from '../lane-roster.ts';
import type { Lane, Subscription } from '../transport.ts';
import type { ConnectionSlot } from './connection-slot.ts';
import type { EntryCounts } from './entry-counts.ts';
import { RabbitLane } from './lane.ts';
import { queueName, stampName } from './queues.ts';
import { readStamp, StampWriter } from './stamps.ts';

export interface RabbitSubscriptionGiven {
  readonly slot: ConnectionSlot;
  readonly stampSlot: ConnectionSlot;
  readonly channel: string;
  readonly partitions: number;
  readonly systemId: Uuid;
  readonly inboxBytesMax: number;
  readonly counts: EntryCounts;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export class RabbitSubscription implements Subscription {
  readonly budget: InboxBudget;
  readonly #given: RabbitSubscriptionGiven;
  readonly #stamps: StampWriter;
  readonly #roster: LaneRoster;
  readonly #lanes = new Map<Partition, RabbitLane>();

  private constructor(mine: AsyncIterable<ReadonlySet<Partition>>, given: RabbitSubscriptionGiven) {
    this.#given = given;
    this.budget = new InboxBudget({ bytesMax: given.inboxBytesMax, inboxesMax: given.partitions });
    this.#stamps = new StampWriter({ ...given, slot: given.stampSlot });
    this.#roster = new LaneRoster(mine, (hold) => this.#open(hold));
  }

  /** Rejects with a sentence when the broker cannot be reached. */
  static async open(
    mine: AsyncIterable<ReadonlySet<Partition>>,
    given: RabbitSubscriptionGiven,
  ): Promise<RabbitSubscription> {
    const slots = [given.slot, given.stampSlot];
    try {
      await Promise.all(slots.map((each) => each.get()));
    } catch (thrown) {
      // One of them may have opened all the same, and nobody else knows of it.
      await Promise.all(slots.map((each) => each.close()));
      throw thrown;
    }
    return new RabbitSubscription(mine, given);
  }

  lanes(stop: AbortSignal): AsyncIterable<Lane> {
    return this.#roster.lanes(stop);
  }

  /** Entries in the hands of this process; null: no lane of it consumes the partition. */
  inHand(partition: Partition): number | null {
    return this.#lanes.get(partition)?.inHand ?? null;
  }

  async close(): Promise<void> {
    this.#roster.stop();
    await Promise.all([this.#given.slot.close(), this.#stamps.close()]);
  }

  #open(hold: Hold): Lane {
    const { channel, counts, observe, clock } = this.#given;
    const { partition } = hold;
    const lane = new RabbitLane(hold, {
      ...this.#given,
      queue: queueName(channel, partition),
      stampQueue: stampName(channel, partition),
      budget: this.budget,
      readStamp: (connection, stamp) => readStamp(connection, { channel, partition, stamp, clock }),
      writeStamp: (stamp, stop) => this.#stamps.write(partition, stamp, stop),
      canStamp: () => this.#given.stampSlot.current !== null,
      onRead: (entries) => counts.read(partition, entries),
      warn: (detail) => observe({ kind: 'log-warned', detail }),
      lose: (reason) => {
        observe({ kind: 'log-torn', partition, reason });
        this.#roster.lose(partition);
      },
      onReleased: (released) => {
        if (this.#lanes.get(partition) === released) this.#lanes.delete(partition);
      },
    });
    this.#lanes.set(partition, lane);
    return lane;
  }
}

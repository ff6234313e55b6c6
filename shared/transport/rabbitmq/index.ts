// Owns the front door of the rabbitmq transport: quorum queues carry the commands, leases in the database share them out.
import { partition as partitionAt, type Partition, type Uuid } from '../../command/identity.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock, Random } from '../../process/time.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import type { PartitionEnd, Transport } from '../transport.ts';
import { explain } from './broker-errors.ts';
import { openConnection, type BrokerConnection, type RabbitAccess } from './client.ts';
import { ConnectionSlot } from './connection-slot.ts';
import { EntryCounts } from './entry-counts.ts';
import { RabbitPublisher } from './publisher.ts';
import { provisionQueues, QUEUE_LIMITS, readDepths, WRITTEN_DOWN_MS, type QueueLimits } from './queues.ts';
import { RabbitSubscription } from './subscription.ts';

export type { RabbitAccess } from './client.ts';

export interface RabbitTransportGiven {
  readonly access: RabbitAccess;
  /** The prefix of the queues. */
  readonly channel: string;
  readonly partitions: number;
  readonly systemId: Uuid;
  /** How long a silent consumer keeps its partitions. */
  readonly leaseMs: number;
  readonly inboxBytesMax: number;
  /** Of queues that are made here. */
  readonly limits?: QueueLimits;
  /** How long queues that may be new are given before they are relied on. Default: as long as a node takes to write them down. */
  readonly newMs?: number;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export interface RabbitTransport extends Transport {
  /** What the lanes of this process have read ahead and not handed out. */
  inboxBytes(): number;
}

/** Of connections that own nothing. */
const HEARTBEAT_SECONDS = 10;

export function rabbitTransport(given: RabbitTransportGiven): RabbitTransport {
  const { access, channel, partitions, clock } = given;
  const shared = { ...given, explain: (thrown: unknown) => explain(thrown, { access, channel }) };
  const slot = (what: string, heartbeatSeconds = HEARTBEAT_SECONDS) =>
    new ConnectionSlot({ ...shared, what, open: () => openConnection({ access, heartbeatSeconds, clock }) });
  const view = slot('broker connection');
  const counts = new EntryCounts();
  const subscriptions = new Set<RabbitSubscription>();
  /** Rejects with a sentence. */
  const ask = async <T>(question: (connection: BrokerConnection) => Promise<T>): Promise<T> => {
    try {
      return await question(await view.get());
    } catch (thrown) {
      throw shared.explain(thrown);
    }
  };
  return {
    traits: { positions: 'lane', assigns: 'by-lease', carriedBy: 'the broker' },
    async provision(wanted) {
      if (wanted !== partitions) throw new LogPartitionsDiffer(partitions, wanted);
      await ask((connection) =>
        provisionQueues(connection, {
          channel,
          partitions,
          limits: given.limits ?? QUEUE_LIMITS,
          newMs: given.newMs ?? WRITTEN_DOWN_MS,
          clock,
        }),
      );
    },
    openPublisher: () =>
      RabbitPublisher.open({
        ...shared,
        slot: slot('publisher connection'),
        onStored: (partition, entries) => counts.published(partition, entries),
      }),
    async openSubscription(mine) {
      // Whoever is silent for as long as its lease loses its queues, too, and what it would still stamp.
      const heartbeatSeconds = Math.max(1, Math.floor(given.leaseMs / 2_000));
      const consuming = slot('consumer connection', heartbeatSeconds);
      const stampSlot = slot('stamp connection', heartbeatSeconds);
      const subscription = await RabbitSubscription.open(mine, { ...shared, slot: consuming, stampSlot, counts });
      subscriptions.add(subscription);
      return {
        lanes: (stop) => subscription.lanes(stop),
        close: () => {
          subscriptions.delete(subscription);
          return subscription.close();
        },
      };
    },
    async ends() {
      const depths = await ask((connection) => readDepths(connection, { channel, partitions }));
      return depths.map((messages, index) => endOf(partitionAt(index), messages));
    },
    inboxBytes: () => [...subscriptions].reduce((sum, each) => sum + each.budget.heldBytes, 0),
    close: () => view.close(),
  };

  function endOf(partition: Partition, messages: number): PartitionEnd {
    const inHand = [...subscriptions].reduce((sum, each) => sum + (each.inHand(partition) ?? 0), 0);
    return { partition, next: null, waiting: counts.estimate(partition, messages) + inHand };
  }
}

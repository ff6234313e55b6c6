// Owns the front door of the kafka transport: a topic carries the commands, a consumer group shares its partitions out.
import { partition as partitionAt, position, type Uuid } from '../../command/identity.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock, Random } from '../../process/time.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import type { Transport } from '../transport.ts';
import { explain } from './broker-errors.ts';
import { openKafkaClient, type Detours, type KafkaConnection } from './client.ts';
import { ClusterView } from './cluster-view.ts';
import { LagWarnings } from './lag-warnings.ts';
import { KafkaPublisher } from './publisher.ts';
import { KafkaSubscription } from './subscription.ts';
import { provisionTopic } from './topic.ts';

export type { KafkaConnection } from './client.ts';

export interface KafkaTransportGiven {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly systemId: Uuid;
  /** Of a topic that is made here; null: three, or as many as there are brokers. */
  readonly replication: number | null;
  /** Of a topic that is made here; seven days at least. */
  readonly retentionMs: number;
  /** How long a silent consumer keeps its partitions; brokers take six seconds and more unless told otherwise. */
  readonly sessionMs: number;
  readonly inboxBytesMax: number;
  /** How long a lane's holder may do nothing with it before others get it; five minutes by default. */
  readonly silenceMs?: number;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  /** Where connections really go; for tests that stand between us and the brokers. */
  readonly detours?: Detours;
}

export interface KafkaTransport extends Transport {
  /** What the lanes of this process have read ahead and not handed out. */
  inboxBytes(): number;
}

export function kafkaTransport(given: KafkaTransportGiven): KafkaTransport {
  const { topic, observe, clock, random } = given;
  const client = { connection: given.connection, detours: given.detours ?? new Map() };
  // Another system on the same topic by mistake must not take part of ours.
  const groupId = `${topic}.${given.systemId}`;
  const about = { connection: given.connection, topic, groupId };
  const shared = {
    topic,
    explain: (thrown: unknown) => explain(thrown, about),
    open: () => openKafkaClient(client, random),
  };
  const view = new ClusterView({ ...shared, clock });
  const lag = new LagWarnings(observe, clock);
  const subscriptions = new Set<KafkaSubscription>();
  const countPartitions = async (): Promise<number> => {
    const { length } = await view.bounds();
    if (length === 0) throw new LogPartitionsDiffer(0, 1);
    return length;
  };
  return {
    traits: { positions: 'stored', assigns: 'itself', carriedBy: 'the broker' },
    async provision(partitions) {
      const wanted = { topic, partitions, replication: given.replication, retentionMs: given.retentionMs };
      const { retentionMs } = await view.ask((admin) => provisionTopic(admin, wanted, { observe, clock }));
      lag.retentionMs = retentionMs;
    },
    async openPublisher() {
      return await KafkaPublisher.open({ ...shared, clock, partitions: await countPartitions() });
    },
    async openSubscription() {
      const partitions = await countPartitions();
      const bounds = () => view.bounds();
      const subscription = await KafkaSubscription.open({ ...given, client, groupId, partitions, bounds, lag });
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
      const bounds = await view.bounds();
      return bounds.map(({ end }, index) => ({ partition: partitionAt(index), next: position(end), waiting: null }));
    },
    inboxBytes: () => [...subscriptions].reduce((sum, each) => sum + each.budget.heldBytes, 0),
    close: () => view.close(),
  };
}

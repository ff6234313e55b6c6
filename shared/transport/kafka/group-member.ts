// Owns one member of the consumer group as kafkajs makes it, and the farewell of the one that was there before.
import type { Cluster, Consumer, PartitionAssigner } from 'kafkajs';
import { stickyAssigner } from './assignment.ts';
import type { KafkaClient } from './client.ts';
import type { GroupGiven } from './group.ts';

export interface Member {
  readonly client: KafkaClient;
  readonly consumer: Consumer;
  /** Aborts when it is a member no more, whatever the reason. */
  readonly over: AbortController;
}

/** How long the others wait for a member that has to join again. */
export const REJOIN_MS = 10_000;
/** Each is a small request; a rebalance is noticed with the next one. */
const HEARTBEAT_MS = 500;
/** An empty fetch returns after so long, and then takes notice of who was paused, resumed or moved. */
const FETCH_WAIT_MS = 50;
/** What kafkajs itself tries again before it gives the membership up. */
const RETRIES = 3;

/** Connected, and not a member yet: that begins with `run`. `former`: the name under which this process was one before. */
export async function connectMember(
  client: KafkaClient,
  { topic, groupId, partitions, sessionMs, fetch, on }: GroupGiven,
  former: string | null,
): Promise<Member> {
  const assigner = stickyAssigner({ topic, partitions, claims: () => on.claims() });
  const inside: { cluster?: Cluster } = {};
  const watched: PartitionAssigner = (config) => {
    inside.cluster = config.cluster;
    return assigner(config);
  };
  const consumer = client.kafka.consumer({
    groupId,
    sessionTimeout: sessionMs,
    rebalanceTimeout: Math.max(sessionMs, REJOIN_MS),
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: fetch.partitionBytes,
    maxBytes: fetch.bytes,
    allowAutoTopicCreation: false,
    partitionAssigners: [watched],
    // Rebuilding is ours: kafkajs itself restarts only after some errors, and silently not after others.
    retry: { retries: RETRIES, restartOnFailure: () => Promise.resolve(false) },
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  if (former !== null) await leaveFor(former, groupId, inside.cluster);
  return { client, consumer, over: new AbortController() };
}

/** What kafkajs' own brokers can do and do not declare. */
interface Coordinator {
  leaveGroup(of: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
}

/**
 * A member whose connection broke could not leave, and the group would wait a whole session for it before it shares out anew.
 * Never rejects: mostly the group knows already that it has gone.
 */
async function leaveFor(memberId: string, groupId: string, cluster: Cluster | undefined): Promise<void> {
  try {
    // kafkajs' own broker, which has the request and does not declare it.
    const coordinator = (await cluster?.findGroupCoordinator({ groupId })) as Coordinator | undefined;
    await coordinator?.leaveGroup({ groupId, memberId });
  } catch {
    // Then it waits.
  }
}

// Owns one broker's process: its start on a folder, and when it serves.
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { startGuarded, type GuardedProcess } from '../guarded-process.ts';

export interface NodeWanted {
  readonly id: number;
  /** Has `server.properties`; the log is written there. */
  readonly folder: string;
  /** What `java` is told before the program's name. */
  readonly java: readonly string[];
  /** Plain text, and to the node itself: it is asked there whether it serves. */
  readonly address: string;
}

export interface NodeProcess extends Pick<GuardedProcess, 'freeze' | 'wake' | 'kill'> {
  /** Resolves when the node says that these nodes, itself among them, serve. Throws with the end of its log. */
  serves(nodes: readonly number[]): Promise<void>;
}

const HEAP = '-Xmx512m';

export function startNode({ id, folder, java, address }: NodeWanted): NodeProcess {
  const running = startGuarded({
    name: `Kafka's node ${id}`,
    command: ['java', HEAP, ...java, 'kafka.Kafka', join(folder, 'server.properties')],
    logFile: join(folder, 'server.log'),
  });
  return {
    ...running,
    serves: (nodes) =>
      running.serves(async () => {
        const seen = await nodesSeenBy(address);
        return nodes.every((node) => seen.includes(node));
      }),
  };
}

/**
 * None while it does not answer. A node is listed from the time on at which it may lead partitions; one that was killed leads them by
 * its cluster's account before it has read their logs, and refuses whoever asks for them until then.
 */
async function nodesSeenBy(address: string): Promise<readonly number[]> {
  const client = new kafkajs.Kafka({
    brokers: [address],
    connectionTimeout: 2_000,
    requestTimeout: 5_000,
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 0 },
  });
  const admin = client.admin({ retry: { retries: 0 } });
  try {
    await admin.connect();
    for (const topic of await admin.listTopics()) await admin.fetchTopicOffsets(topic);
    return (await admin.describeCluster()).brokers.map((broker) => broker.nodeId);
  } catch {
    return [];
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

// Owns Kafka as what carries a fault run's commands: a cluster of the run's own, and where it is wanted a gate before its only node.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Admin } from 'kafkajs';
import { ownKafka } from '../kafka/available.ts';
import type { KafkaCluster } from '../kafka/cluster.ts';
import { openTcpGate, type TcpGate } from '../tcp-gate.ts';
import type { CarriedSystem, Carrier } from './carrier.ts';

export interface KafkaCarrier extends Carrier {
  readonly cluster: KafkaCluster;
  /** Node by node, between the brokers and every process of the run. */
  readonly gates: readonly TcpGate[];
  /** How many partitions this node leads; null: nobody can tell right now. */
  ledBy(node: number): Promise<number | null>;
}

const AGAIN_MS = 200;

export async function openKafkaCarrier(of: { readonly nodes: 1 | 3 }): Promise<KafkaCarrier> {
  const gates: TcpGate[] = [];
  const cluster = await ownKafka({
    nodes: of.nodes,
    tuned: 'to-run',
    advertised: async (_, port) => {
      const gate = await openTcpGate(`tcp://127.0.0.1:${port}`);
      gates.push(gate);
      return Number(new URL(gate.url).port);
    },
  });
  const topic = `faults-${randomBytes(4).toString('hex')}`;
  return {
    cluster,
    gates,
    settings: {
      ONELANE_TRANSPORT: 'kafka',
      ONELANE_CHANNEL: topic,
      KAFKA_BROKERS: cluster.brokers.join(','),
    },
    behind: (system) => behind(system, topic, cluster.directBrokers),
    ledBy: (node) => ledBy(node, topic, cluster.directBrokers),
    close: async () => {
      await cluster.close();
      await Promise.all(gates.map((gate) => gate.close()));
    },
  };
}

async function behind(system: CarriedSystem, topic: string, brokers: readonly string[]): Promise<number> {
  const known = await asked(brokers, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const rows = await system.query<{ partition: number; next: string }>(
      `select partition, coalesce(next_position, 0)::text as next from ${system.schema}.tenure`,
    );
    const next = new Map(rows.map((row) => [row.partition, Number(row.next)]));
    return ends.reduce((sum, { partition, high }) => sum + Number(high) - (next.get(partition) ?? 0), 0);
  });
  // Not known now; that is not "nothing".
  if (known === null) await sleep(AGAIN_MS);
  return known ?? 1;
}

function ledBy(node: number, topic: string, brokers: readonly string[]): Promise<number | null> {
  return asked(brokers, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.filter(({ leader }) => leader === node).length ?? 0;
  });
}

/** null: no broker has an answer now. */
async function asked<T>(brokers: readonly string[], ask: (admin: Admin) => Promise<T>): Promise<T | null> {
  const admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
  try {
    await admin.connect();
    return await ask(admin);
  } catch {
    return null;
  } finally {
    await admin.disconnect();
  }
}

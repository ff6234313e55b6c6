// Owns the kafka transport as the suite sees it: a topic per log, and gates of its own per process.
import { randomBytes } from 'node:crypto';
import kafkajs, { type Admin } from 'kafkajs';
import { newUuid, type Uuid } from '../../shared/command/identity.ts';
import type { Observe } from '../../shared/process/events.ts';
import { systemClock } from '../../shared/process/time.ts';
import { kafkaTransport } from '../../shared/transport/kafka/index.ts';
import { detoursThrough } from '../support/kafka/detours.ts';
import { openTcpGate, type TcpGate } from '../support/tcp-gate.ts';
import type { ConformanceFixture, ProcessUnderTest } from './suite/fixture.ts';
import { eventually } from './suite/within.ts';

const PATIENCE_MS = 30_000;

/** `brokers` is asked when the first case begins. */
export function kafkaFixture(name: string, brokers: () => readonly string[]): ConformanceFixture {
  return {
    name,
    traits: { positions: 'stored', assigns: 'itself', carriedBy: 'the broker' },
    abilities: ['away', 'lost-answers', 'recreate', 'recreate-live', 'truncate', 'connections', 'inbox-bytes'],
    patienceMs: PATIENCE_MS,
    // Long enough to be a member of the group again after an outage.
    quietMs: 1_500,
    async bundle({ partitions }) {
      const topic = `conformance-${randomBytes(6).toString('hex')}`;
      const systemId = newUuid();
      const admin = openAdmin(brokers());
      await admin.connect();
      return {
        systemId,
        openProcess: (options) => openKafkaProcess({ brokers: brokers(), topic, systemId, ...options }),
        recreate: () => recreate({ admin, topic, partitions, brokers: brokers() }),
        truncate: async (partition, before) => {
          // Deleting looks for the leaders in what was asked last.
          await admin.fetchTopicOffsets(topic);
          await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] });
        },
        close: async () => {
          await admin.deleteTopics({ topics: [topic] }).catch(() => undefined);
          await admin.disconnect();
        },
      };
    },
  };
}

export interface KafkaProcessGiven {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly systemId: Uuid;
  readonly inboxBytesMax?: number;
  readonly observe?: Observe;
}

/** Every connection goes through a gate, wherever the brokers say that they are. */
export async function openKafkaProcess(given: KafkaProcessGiven): Promise<ProcessUnderTest> {
  const gates = new Map<string, TcpGate>();
  for (const broker of given.brokers) gates.set(broker, await openTcpGate(`tcp://${broker}`));
  const all = [...gates.values()];
  const transport = kafkaTransport({
    connection: { brokers: given.brokers, tls: null, sasl: null },
    topic: given.topic,
    systemId: given.systemId,
    replication: null,
    retentionMs: 0,
    sessionMs: 6_000,
    inboxBytesMax: given.inboxBytesMax ?? 16 * 1024 * 1024,
    observe: given.observe ?? (() => undefined),
    clock: systemClock,
    random: Math.random,
    detours: detoursThrough(gates),
  });
  const each = (act: (gate: TcpGate) => void): Promise<void> => Promise.resolve(all.forEach(act));
  return {
    transport,
    cut: () => each((gate) => gate.refuse()),
    loseAnswers: () => each((gate) => gate.swallowAnswers()),
    restore: () => each((gate) => gate.admit()),
    connections: () => all.reduce((sum, gate) => sum + gate.connections(), 0),
    inboxBytes: () => transport.inboxBytes(),
    close: async () => {
      await Promise.all(all.map((gate) => gate.close()));
    },
  };
}

export function openAdmin(brokers: readonly string[]): Admin {
  return new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
}

interface Recreated {
  readonly admin: Admin;
  readonly topic: string;
  readonly partitions: number;
  readonly brokers: readonly string[];
}

async function recreate({ admin, topic, partitions, brokers }: Recreated): Promise<void> {
  await admin.deleteTopics({ topics: [topic] });
  // As when people do it: every broker has let go of the old one before there is a new one.
  await Promise.all(brokers.map((broker) => untilGone(broker, topic)));
  const made = await admin.createTopics({
    waitForLeaders: false,
    topics: [
      {
        topic,
        numPartitions: partitions,
        replicationFactor: Math.min(3, brokers.length),
        configEntries: [
          { name: 'message.timestamp.type', value: 'LogAppendTime' },
          { name: 'compression.type', value: 'uncompressed' },
        ],
      },
    ],
  });
  if (!made) throw new Error(`topic ${topic} is still there`);
}

/** As this one broker knows it. */
async function untilGone(broker: string, topic: string): Promise<void> {
  const admin = openAdmin([broker]);
  await admin.connect();
  try {
    const isThere = () =>
      admin.fetchTopicMetadata({ topics: [topic] }).then(
        () => true,
        () => false,
      );
    await eventually(PATIENCE_MS, `${broker} to let go of the topic`, async () => !(await isThere()));
  } finally {
    await admin.disconnect();
  }
}

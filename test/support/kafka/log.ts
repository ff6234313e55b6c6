// Owns a topic as a test's log: transports of the product over it, a stranger's publishing and an administrator's hand.
import { randomBytes } from 'node:crypto';
import kafkajs, { type Admin, type Message, type Producer } from 'kafkajs';
import { HEADER } from '../../../shared/command/entry.ts';
import { newCommandId, newUuid, trustedKey, type Partition, type Uuid } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import {
  kafkaTransport,
  type KafkaTransport,
  type KafkaTransportGiven,
} from '../../../shared/transport/kafka/index.ts';
import type { Routed } from '../../../shared/transport/transport.ts';

/** The least that the test's brokers take. */
export const SESSION_MS = 1_000;

export interface TestLog {
  readonly topic: string;
  readonly systemId: Uuid;
  /** What all transports of this log observed. */
  readonly events: readonly OnelaneEvent[];
  /** Closed with the log. */
  open(more?: Partial<KafkaTransportGiven>): KafkaTransport;
  /** Past every gate, with all rights. */
  readonly admin: Admin;
  /** The topic is gone and made again as the product would; resolves when it is there. */
  recreate(partitions: number): Promise<void>;
  /** Everything before `offset` is gone. */
  truncate(partition: number, offset: number): Promise<void>;
  /** As a publisher that knows nothing of Onelane; each call is one request. */
  publishAs(
    messages: readonly Message[],
    more?: Omit<Parameters<Producer['send']>[0], 'topic' | 'messages'>,
  ): Promise<void>;
  close(): Promise<void>;
}

export interface TestLogGiven {
  readonly brokers: readonly string[];
  readonly topic?: string;
  readonly systemId?: Uuid;
}

export function kafkaClient(brokers: readonly string[]): kafkajs.Kafka {
  return new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 9 } });
}

export async function openTestLog(given: TestLogGiven): Promise<TestLog> {
  const topic = given.topic ?? `log-${randomBytes(6).toString('hex')}`;
  const systemId = given.systemId ?? newUuid();
  const events: OnelaneEvent[] = [];
  const opened: KafkaTransport[] = [];
  const kafka = kafkaClient(given.brokers);
  const admin = kafka.admin();
  await admin.connect();
  const stranger = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await stranger.connect();
  const open = (more: Partial<KafkaTransportGiven> = {}): KafkaTransport => {
    const transport = kafkaTransport({
      connection: { brokers: given.brokers, tls: null, sasl: null },
      topic,
      systemId,
      replication: null,
      retentionMs: 0,
      sessionMs: SESSION_MS,
      inboxBytesMax: 16 * 1024 * 1024,
      observe: (event) => events.push(event),
      clock: systemClock,
      random: Math.random,
      ...more,
    });
    opened.push(transport);
    return transport;
  };
  return {
    topic,
    systemId,
    events,
    open,
    admin,
    recreate: async (partitions) => {
      await admin.deleteTopics({ topics: [topic] });
      await untilGone(admin, topic);
      await open().provision(partitions);
    },
    truncate: async (partition, offset) => {
      // Deleting looks for the leaders in what was asked last.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
    },
    publishAs: async (messages, more = {}) => {
      await stranger.send({ topic, messages: [...messages], ...more });
    },
    close: async () => {
      await Promise.all(opened.map((each) => each.close()));
      await stranger.disconnect();
      await admin.disconnect();
    },
  };
}

async function untilGone(admin: Admin, topic: string): Promise<void> {
  while ((await admin.listTopics()).includes(topic)) await systemClock.sleep(50);
}

/** An entry as our own publishers make them. */
export function entryOf({ systemId }: Pick<TestLog, 'systemId'>, partition: Partition, text: string): Routed {
  return {
    partition,
    key: trustedKey(`test/${partition}`),
    id: newCommandId(),
    bytes: Buffer.from(text),
    headers: { [HEADER.system]: systemId, [HEADER.layout]: '1' },
  };
}

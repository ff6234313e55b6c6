// Owns backlogs in Kafka: a topic that is laid once, and drained as often as wanted, each time by a system that begins anew.
import { randomBytes } from 'node:crypto';
import { HEADER } from '../../shared/command/entry.ts';
import { newUuid, type Uuid } from '../../shared/command/identity.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import { PARTITIONS_DEFAULT } from '../../shared/postgres/system.ts';
import { systemClock } from '../../shared/process/time.ts';
import { kafkaTransport, type KafkaTransport } from '../../shared/transport/kafka/index.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { layBacklog } from './lane.ts';
import type { Load } from './load.ts';

export interface KafkaLog {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly systemId: Uuid;
  readonly load: Load;
  readonly partitions: number;
}

/** As many partitions as a system has by default; headers as our own publishers set them. */
export async function layKafkaLog(brokers: readonly string[], load: Load): Promise<KafkaLog> {
  const topic = freshTopic();
  const log: KafkaLog = { brokers, topic, systemId: newUuid(), load, partitions: PARTITIONS_DEFAULT };
  const transport = openKafkaLog(log);
  try {
    await transport.provision(log.partitions);
    const headers = Object.freeze({ [HEADER.system]: log.systemId, [HEADER.layout]: '1' });
    await layBacklog(transport, load, log.partitions, headers);
    return log;
  } finally {
    await transport.close();
  }
}

export function freshTopic(): string {
  return `bench-${randomBytes(6).toString('hex')}`;
}

export function openKafkaLog(log: Pick<KafkaLog, 'brokers' | 'topic' | 'systemId'>): KafkaTransport {
  return kafkaTransport({
    connection: { brokers: log.brokers, tls: null, sasl: null },
    topic: log.topic,
    systemId: log.systemId,
    replication: 1,
    retentionMs: 7 * 86_400_000,
    sessionMs: 6_000,
    inboxBytesMax: 64 * 1024 * 1024,
    observe: () => undefined,
    clock: systemClock,
    random: Math.random,
  });
}

/** A system that has read nothing of the log yet, and takes it for its own. */
export async function databaseFor({ topic, systemId, load, partitions }: KafkaLog): Promise<TestDatabase> {
  const bench = await freshDatabase({ partitions, transport: 'kafka', channel: topic, sql: accountTable(load.rows) });
  await bench.database.pool.query(`update ${quoted(bench.schema)}.system set id = $1`, [systemId]);
  return bench;
}

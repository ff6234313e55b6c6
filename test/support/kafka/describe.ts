// Owns how a test file asks for Kafka: its tests run on a broker, or are skipped with one loud line, which under CI is a failure.
import { afterAll, beforeAll } from 'vitest';
import { describeWhere } from '../describe-where.ts';
import { kafkaSource, ownKafka, testKafka, type KafkaNeed, type TestKafka } from './available.ts';
import type { KafkaCluster, KafkaOptions } from './cluster.ts';

const OPEN_MS = 180_000;
const CLOSE_MS = 60_000;

/**
 * Tests that need some broker. `kafka` gives it inside tests and hooks; it is opened before the first and closed after the last.
 * To be awaited at the top of a file, as what the machine has is asked before tests are collected.
 */
export async function describeWithKafka(name: string, tests: (kafka: () => TestKafka) => void): Promise<void> {
  await describeWhereKafka('shared', name, () => tests(opened(testKafka)));
}

/** Tests that share one cluster of their own, which they may kill and have to leave as they found it. */
export async function describeWithCluster(
  name: string,
  options: KafkaOptions,
  tests: (cluster: () => KafkaCluster) => void,
): Promise<void> {
  await describeWhereKafka('own', name, () => tests(opened(() => ownKafka(options))));
}

/** Tests that start brokers themselves. */
export async function describeWhereKafka(need: KafkaNeed, name: string, tests: () => void): Promise<void> {
  const source = await kafkaSource(need);
  describeWhere('a Kafka broker', source.kind === 'nowhere' ? source.why : null, name, tests);
}

function opened<T extends TestKafka>(open: () => Promise<T>): () => T {
  let kafka: T | undefined;
  beforeAll(async () => {
    kafka = await open();
  }, OPEN_MS);
  afterAll(async () => {
    await kafka?.close();
  }, CLOSE_MS);
  return () => {
    if (kafka === undefined) throw new Error('the broker is there inside tests and hooks only');
    return kafka;
  };
}

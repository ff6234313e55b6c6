// Owns the proof that the kafka transport keeps every promise of the seam, on one node.
import { afterAll, beforeAll } from 'vitest';
import { startKafka, type KafkaCluster } from '../support/kafka/cluster.ts';
import { kafkaFixture } from './kafka-fixture.ts';
import { conformance } from './suite/conformance.ts';

let kafka: KafkaCluster | undefined;

beforeAll(async () => {
  kafka = await startKafka({ nodes: 1 });
});

afterAll(async () => {
  await kafka?.close();
});

conformance(kafkaFixture('kafka', () => kafka?.brokers ?? []));

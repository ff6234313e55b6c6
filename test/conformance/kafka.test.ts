// Owns the proof that the kafka transport keeps every promise of the seam, on any broker.
import { describeWithKafka } from '../support/kafka/describe.ts';
import { kafkaFixture } from './kafka-fixture.ts';
import { conformance } from './suite/conformance.ts';

await describeWithKafka('on one broker', (kafka) => {
  conformance(kafkaFixture('kafka', () => kafka().brokers));
});

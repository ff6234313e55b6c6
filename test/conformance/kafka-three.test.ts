// Owns the proof that the kafka transport keeps every promise of the seam on three nodes that replicate.
import { describeWithCluster } from '../support/kafka/describe.ts';
import { kafkaFixture } from './kafka-fixture.ts';
import { conformance } from './suite/conformance.ts';

await describeWithCluster('on three nodes', { nodes: 3 }, (cluster) => {
  conformance(kafkaFixture('kafka', () => cluster().brokers));
});

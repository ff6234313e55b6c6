// Owns the proof that the rabbitmq transport keeps every promise of the seam that applies to it, on any broker.
import { describeWithRabbit } from '../support/rabbitmq/describe.ts';
import { rabbitFixture } from './rabbitmq-fixture.ts';
import { conformance } from './suite/conformance.ts';

await describeWithRabbit('on one broker', (rabbit) => {
  conformance(rabbitFixture('rabbitmq', () => rabbit().url));
});

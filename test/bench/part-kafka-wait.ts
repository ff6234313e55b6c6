// Owns the ratio of waiting over HTTP through Kafka.
import { freshTopic } from './kafka-log.ts';
import type { Judged } from './measure.ts';
import type { KafkaBench } from './part-kafka.ts';
import { waitThrough } from './wait-through.ts';

export function benchKafkaWait({ brokers, ...given }: KafkaBench): Promise<readonly Judged[]> {
  return waitThrough('kafka', { ONELANE_CHANNEL: freshTopic(), KAFKA_BROKERS: brokers.join(',') }, given);
}

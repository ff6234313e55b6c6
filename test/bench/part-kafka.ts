// Owns the ratios over Kafka: one broker for all of them, each against what somebody would write by hand, or against `postgres`.
import { kafkaSource, ownKafka } from '../support/kafka/available.ts';
import type { BenchGiven } from './main.ts';
import type { Judged } from './measure.ts';
import { benchKafkaDrain } from './part-kafka-drain.ts';
import { benchKafkaMemory } from './part-kafka-memory.ts';
import { benchKafkaPause } from './part-kafka-pause.ts';
import { benchKafkaSubmit } from './part-kafka-submit.ts';
import { benchKafkaWait } from './part-kafka-wait.ts';

const PARTS = {
  drain: benchKafkaDrain,
  memory: benchKafkaMemory,
  submit: benchKafkaSubmit,
  wait: benchKafkaWait,
  pause: benchKafkaPause,
} as const;

export interface KafkaBench extends BenchGiven {
  readonly brokers: readonly string[];
}

export async function benchKafka(given: BenchGiven): Promise<readonly Judged[]> {
  const source = await kafkaSource('own');
  if (source.kind === 'nowhere') return [{ isMet: false, line: `SKIPPED  kafka: ${source.why}` }];
  const cluster = await ownKafka({ nodes: 1, tuned: 'to-run' });
  try {
    const lines: Judged[] = [];
    for (const [name, part] of Object.entries(PARTS)) {
      if (given.only.length > 0 && !given.only.includes(name)) continue;
      lines.push(...(await part({ ...given, brokers: cluster.brokers })));
    }
    return lines;
  } finally {
    await cluster.close();
  }
}

// Owns the ratios over RabbitMQ: one broker for all of them, each against what somebody would write by hand, or against `postgres`.
import { ownRabbit, rabbitSource } from '../support/rabbitmq/available.ts';
import type { BenchGiven } from './main.ts';
import type { Judged } from './measure.ts';
import { benchRabbitDrain } from './part-rabbitmq-drain.ts';
import { benchRabbitMemory } from './part-rabbitmq-memory.ts';
import { freshChannel } from './rabbit-log.ts';
import { waitThrough } from './wait-through.ts';

export interface RabbitBench extends BenchGiven {
  /** Its URL. */
  readonly broker: string;
}

const PARTS = {
  drain: benchRabbitDrain,
  memory: benchRabbitMemory,
  wait: ({ broker, ...given }: RabbitBench) =>
    waitThrough('rabbitmq', { ONELANE_CHANNEL: freshChannel(), RABBITMQ_URL: broker }, given),
} as const;

export async function benchRabbit(given: BenchGiven): Promise<readonly Judged[]> {
  const source = await rabbitSource('own');
  if (source.kind === 'nowhere') return [{ isMet: false, line: `SKIPPED  rabbitmq: ${source.why}` }];
  const node = await ownRabbit();
  try {
    const lines: Judged[] = [];
    for (const [name, part] of Object.entries(PARTS)) {
      if (given.only.length > 0 && !given.only.includes(name)) continue;
      lines.push(...(await part({ ...given, broker: node.url })));
    }
    return lines;
  } finally {
    await node.close();
  }
}

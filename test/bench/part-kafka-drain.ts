// Owns the ratio of draining a backlog from Kafka: one consumer process as it is wired, against a process with the bare loop, on the same log.
import { drainedBy, type Drained, type LanesOrder } from './drain.ts';
import { databaseFor, layKafkaLog, type KafkaLog } from './kafka-log.ts';
import type { KafkaBench } from './part-kafka.ts';
import { judged, printFigures, takeTurns, type Contender, type Judged } from './measure.ts';

const ROWS = [1, 1_000, 100_000];
const WARM_UP = 1_000;

export interface KafkaLoopOrder {
  readonly url: string;
  readonly tables: string;
  readonly log: KafkaLog;
}

export async function benchKafkaDrain({ url, rounds, brokers, commands }: KafkaBench): Promise<readonly Judged[]> {
  const lines: Judged[] = [];
  // A broker that has never had a group refuses the first for a while.
  await drainOnce('lanes', url, await layKafkaLog(brokers, { rows: 1_000, count: WARM_UP }));
  for (const rows of ROWS) {
    const log = await layKafkaLog(brokers, { rows, count: commands });
    const figures = await takeTurns([drainer('lanes', url, log), drainer('loop', url, log)], rounds);
    const named = `${rows.toLocaleString('en')} resources`;
    printFigures(`Draining ${commands.toLocaleString('en')} commands from Kafka, ${named}`, figures);
    const [lanes = Number.NaN, loop = Number.NaN] = figures.map((figure) => figure.median);
    lines.push(judged(`kafka, ${named}: a consumer process against a bare loop`, lanes / loop, { atLeast: 0.8 }));
  }
  return lines;
}

type Drainer = 'lanes' | 'loop';
const NAMES = { lanes: 'a consumer process', loop: 'bare loop (eachBatch)' } as const;

function drainer(who: Drainer, url: string, log: KafkaLog): Contender {
  return { name: NAMES[who], run: () => drainOnce(who, url, log) };
}

/** On a database of its own, which is gone afterwards. */
export async function drainOnce(who: Drainer, url: string, log: KafkaLog): Promise<Drained> {
  const { schema, tables, close } = await databaseFor(log);
  try {
    if (who === 'loop') return await drainedBy('kafka-loop-child', { url, tables, log } satisfies KafkaLoopOrder);
    const env = { ONELANE_TRANSPORT: 'kafka', ONELANE_CHANNEL: log.topic, KAFKA_BROKERS: log.brokers.join(',') };
    const order: LanesOrder = { url, schema, tables, env, count: log.load.count };
    return await drainedBy('lanes-child', order);
  } finally {
    await close();
  }
}

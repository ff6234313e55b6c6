// Owns the ratio of draining a backlog from Kafka: one consumer process as it is wired, against a process with the bare loop, on the same log.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { databaseFor, layKafkaLog, type KafkaLog } from './kafka-log.ts';
import type { KafkaBench } from './part-kafka.ts';
import { judged, printFigures, takeTurns, type Contender, type Judged, type Round } from './measure.ts';

const ROWS = [1, 1_000, 100_000];
const WARM_UP = 1_000;

export interface KafkaDrainOrder {
  readonly url: string;
  readonly schema: string;
  readonly tables: string;
  readonly log: KafkaLog;
}

export interface KafkaDrained extends Round {
  /** Of the draining process alone. */
  readonly cpuMs: number;
  readonly residentPeakBytes: number;
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
export async function drainOnce(who: Drainer, url: string, log: KafkaLog): Promise<KafkaDrained> {
  const bench = await databaseFor(log);
  try {
    return await inChild(who, { url, schema: bench.schema, tables: bench.tables, log });
  } finally {
    await bench.close();
  }
}

async function inChild(who: Drainer, order: KafkaDrainOrder): Promise<KafkaDrained> {
  const child = fork(new URL(`./kafka-${who}-child.js`, import.meta.url), [JSON.stringify(order)]);
  let drained: KafkaDrained | null = null;
  child.on('message', (message: KafkaDrained) => (drained = message));
  const [code] = await once(child, 'exit');
  if (drained === null) throw new Error(`the draining process ended with ${String(code)} and without a word`);
  return drained;
}

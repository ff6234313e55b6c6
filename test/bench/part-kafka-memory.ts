// Owns the proof that memory does not grow with a backlog in Kafka: the peaks of consumer processes before a small and a large one.
import { layKafkaLog } from './kafka-log.ts';
import { judged, type Judged } from './measure.ts';
import { drainOnce } from './part-kafka-drain.ts';
import type { KafkaBench } from './part-kafka.ts';

const ROWS = 1_000;
/** Long enough for a process to come to its usual size: in its first seconds it grows whatever waits, as one with the bare loop does. */
const SMALL = 300_000;
const LARGE = 3_000_000;

export async function benchKafkaMemory({ url, brokers }: KafkaBench): Promise<readonly Judged[]> {
  const small = await peakOf(SMALL, url, brokers);
  const large = await peakOf(LARGE, url, brokers);
  return [
    judged('kafka: peak memory at 3,000,000 against 300,000 commands of backlog', large / small, { atMost: 1.2 }),
  ];
}

async function peakOf(count: number, url: string, brokers: readonly string[]): Promise<number> {
  const log = await layKafkaLog(brokers, { rows: ROWS, count });
  const { residentPeakBytes } = await drainOnce('lanes', url, log);
  const peak = Math.round(residentPeakBytes / 2 ** 20);
  console.log(`\nA consumer process before ${count.toLocaleString('en')} commands in Kafka: peak ${peak} MiB resident`);
  return residentPeakBytes;
}

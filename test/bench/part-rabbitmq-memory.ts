// Owns the proof that memory does not grow with a backlog in RabbitMQ: the peaks of consumer processes before a small and a large one.
import { judged, type Judged } from './measure.ts';
import { drainRabbit } from './part-rabbitmq-drain.ts';
import type { RabbitBench } from './part-rabbitmq.ts';

const ROWS = 1_000;
/** Long enough for a process to come to its usual size: in its first seconds it grows whatever waits, as one with the bare loop does. */
const SMALL = 300_000;
const LARGE = 3_000_000;

export async function benchRabbitMemory({ url, broker }: RabbitBench): Promise<readonly Judged[]> {
  const [small, large] = [await peakOf(SMALL, url, broker), await peakOf(LARGE, url, broker)];
  return [
    judged('rabbitmq: peak memory at 3,000,000 against 300,000 commands of backlog', large / small, { atMost: 1.2 }),
  ];
}

async function peakOf(count: number, url: string, broker: string): Promise<number> {
  const { residentPeakBytes } = await drainRabbit('lanes', url, broker, { rows: ROWS, count });
  const peak = Math.round(residentPeakBytes / 2 ** 20);
  console.log(
    `\nA consumer process before ${count.toLocaleString('en')} commands in RabbitMQ: peak ${peak} MiB resident`,
  );
  return residentPeakBytes;
}

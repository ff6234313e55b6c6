// Owns the floor over Kafka: kafkajs' eachBatch, and each batch written by hand; nothing that a lane promises beyond that.
import kafkajs, { type EachBatchPayload } from 'kafkajs';
import { applyBare, openBareLanes, type BareLane } from './bare-loop.ts';
import { measured, tell } from './drain.ts';
import type { KafkaLoopOrder } from './part-kafka-drain.ts';

/** The best of 250, 500, 1,000 and 2,000. */
const BATCH = 1_000;

// Written by our own parent.
const { url, tables, log } = JSON.parse(process.argv[2] ?? '{}') as KafkaLoopOrder;
const openLanes = await openBareLanes(url, `"${tables}".account`, log.partitions);
let lanes: readonly BareLane[] = [];

let left = log.load.count;
const drained = new AbortController();
const done = new Promise((resolve) => drained.signal.addEventListener('abort', resolve));
const kafka = new kafkajs.Kafka({ brokers: [...log.brokers], logLevel: kafkajs.logLevel.NOTHING });
const consumer = kafka.consumer({ groupId: `bare-${log.topic}-${process.pid}`, maxWaitTimeInMs: 50 });
const told = await measured(log.load.count, async () => {
  [lanes] = await Promise.all([openLanes(), consumer.connect()]);
  await consumer.subscribe({ topics: [log.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    // One after the other within a partition, all partitions at once.
    partitionsConsumedConcurrently: log.partitions,
    eachBatch: applyFetched,
  });
  await done;
});
await consumer.disconnect();
for (const { client } of lanes) await client.end();
tell(told);

async function applyFetched({ batch, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
  const lane = lanes[batch.partition];
  if (lane === undefined) throw new Error(`there is no partition ${batch.partition}`);
  for (let at = 0; at < batch.messages.length; at += BATCH) {
    const messages = batch.messages.slice(at, at + BATCH);
    await applyBare(
      lane,
      messages.map((message) => message.value ?? Buffer.alloc(0)),
    );
    left -= messages.length;
    if (left === 0) drained.abort();
    resolveOffset(messages.at(-1)?.offset ?? '0');
    await heartbeat();
  }
}

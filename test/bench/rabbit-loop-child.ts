// Owns the floor over RabbitMQ: amqplib's consume, and each batch written by hand; nothing that a lane promises beyond that.
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { applyParsed, openBareLanes, type BareLane, type Deposit } from './bare-loop.ts';
import { measured, tell } from './drain.ts';
import type { RabbitLoopOrder } from './part-rabbitmq-drain.ts';

/** Commands of a transaction: whole messages, until there are so many. */
const BATCH = 1_000;
/** Messages in hand, of up to a thousand commands each. */
const PREFETCH = 64;

// Written by our own parent.
const { url, tables, broker, channel, partitions, count } = JSON.parse(process.argv[2] ?? '{}') as RabbitLoopOrder;
const openLanes = await openBareLanes(url, `"${tables}".account`, partitions);

let left = count;
const drained = new AbortController();
const done = new Promise((resolve) => drained.signal.addEventListener('abort', resolve));
let close = (): Promise<unknown> => Promise.resolve();
const told = await measured(count, async () => {
  const [connection, lanes] = await Promise.all([connect(broker), openLanes()]);
  close = () => Promise.all([connection.close(), ...lanes.map(({ client }) => client.end())]);
  await Promise.all(lanes.map((lane) => consume(connection, lane)));
  await done;
});
await close();
tell(told);

async function consume(connection: ChannelModel, lane: BareLane): Promise<void> {
  const consuming = await connection.createChannel();
  await consuming.prefetch(PREFETCH);
  const waiting: ConsumeMessage[] = [];
  let isApplying = false;
  await consuming.consume(`${channel}.${lane.partition}`, (message) => {
    if (message === null) throw new Error('the consumer was cancelled');
    waiting.push(message);
    if (isApplying) return;
    isApplying = true;
    void applyWaiting(lane, consuming, waiting).then(() => (isApplying = false));
  });
}

async function applyWaiting(lane: BareLane, consuming: Channel, waiting: ConsumeMessage[]): Promise<void> {
  // What came in the same packet goes together.
  await Promise.resolve();
  while (waiting.length > 0) {
    const commands: Deposit[] = [];
    let last: ConsumeMessage | undefined;
    while (waiting.length > 0 && commands.length < BATCH) {
      last = waiting.shift();
      // A message is what our publisher makes: a batch of CloudEvents.
      if (last !== undefined) commands.push(...(JSON.parse(last.content.toString()) as Deposit[]));
    }
    await applyParsed(lane, commands);
    if (last !== undefined) consuming.ack(last, true);
    left -= commands.length;
    if (left === 0) drained.abort();
  }
}

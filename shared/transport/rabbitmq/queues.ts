// Owns the queues: their names and arguments, making them fit to be a log, and refusing those that would lose, reorder or forget.
import type { Channel } from 'amqplib';
import type { Clock } from '../../process/time.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import { QueueUnfit, REPLY, replyCode } from './broker-errors.ts';
import type { BrokerConnection } from './client.ts';

export interface QueueLimits {
  /** Messages: a broker keeps some hundred bytes of memory for each. */
  readonly messages: number;
  readonly bytes: number;
}

/**
 * Past them commands are refused, and callers told to come again: better than a broker whose disk or memory is full. A million of the
 * smallest messages, or some sixteen million usual commands in full ones; and the bytes of all queues must fit on a disk.
 */
export const QUEUE_LIMITS: QueueLimits = { messages: 1_000_000, bytes: 4 * 1024 * 1024 * 1024 };
const PARTITIONS_MAX = 1_024;
/** The most that the broker takes. Each channel that closes counts as a delivery, and a limit that can be reached loses commands. */
const DELIVERIES_MAX = 2_147_483_647;
/**
 * A node writes down half a second later that it holds a queue. One that is killed before cannot bring the queue up again, and whatever was
 * confirmed in it stays out of reach (RabbitMQ 3.10.8).
 */
export const WRITTEN_DOWN_MS = 1_500;

export function queueName(channel: string, partition: number): string {
  return `${channel}.${partition}`;
}

/** The queue that holds what a lane has committed last. */
export function stampName(channel: string, partition: number): string {
  return `${channel}.${partition}.stamp`;
}

function logArguments(limits: QueueLimits): Readonly<Record<string, unknown>> {
  return {
    'x-queue-type': 'quorum',
    // Order at a hand-over: a successor gets nothing before its predecessor's channel is closed.
    'x-single-active-consumer': true,
    'x-delivery-limit': DELIVERIES_MAX,
    'x-max-length': limits.messages,
    'x-max-length-bytes': limits.bytes,
    'x-overflow': 'reject-publish',
  };
}

/** The newest message takes the place of the one before; many may look at it, and none keeps it. */
const STAMP_ARGUMENTS: Readonly<Record<string, unknown>> = {
  'x-queue-type': 'quorum',
  'x-delivery-limit': DELIVERIES_MAX,
  'x-max-length': 1,
};

export interface QueuesWanted {
  readonly channel: string;
  readonly partitions: number;
  readonly limits: QueueLimits;
  /** How long queues that may be new are given, before anybody relies on them. */
  readonly newMs: number;
  readonly clock: Clock;
}

/**
 * Safe when several processes do it at once. The last partition's queue is made first: a log of fewer partitions is told from one whose
 * making was interrupted. Throws LogPartitionsDiffer, QueueUnfit, or as amqplib does.
 */
export async function provisionQueues(connection: BrokerConnection, wanted: QueuesWanted): Promise<void> {
  const { channel, partitions } = wanted;
  if (await exists(connection, queueName(channel, partitions))) {
    throw new LogPartitionsDiffer(await countQueues(connection, channel), partitions);
  }
  const isBegun = await exists(connection, queueName(channel, 0));
  if (isBegun && !(await exists(connection, queueName(channel, partitions - 1)))) {
    throw new LogPartitionsDiffer(await countQueues(connection, channel), partitions);
  }
  const declaring = await connection.channel();
  let isWritten = true;
  for (let partition = partitions - 1; partition >= 0; partition--) {
    await declare(connection, declaring, queueName(channel, partition), logArguments(wanted.limits));
    const stamps = await declare(connection, declaring, stampName(channel, partition), STAMP_ARGUMENTS);
    isWritten &&= stamps > 0;
  }
  await connection.ask(() => declaring.close());
  // Without a stamp a partition may be new, made here or by another process just now.
  if (!isWritten) await wanted.clock.sleep(wanted.newMs);
}

/** How many messages wait in it. */
async function declare(
  connection: BrokerConnection,
  declaring: Channel,
  queue: string,
  args: Readonly<Record<string, unknown>>,
): Promise<number> {
  try {
    const options = { durable: true, arguments: args };
    return (await connection.ask(() => declaring.assertQueue(queue, options))).messageCount;
  } catch (thrown) {
    if (replyCode(thrown) !== REPLY.preconditionFailed || !(thrown instanceof Error)) throw thrown;
    throw new QueueUnfit(
      `queue "${queue}" is at the broker with other arguments than a log needs (${thrown.message}): let its consumers empty it, delete it and start again, or name another ONELANE_CHANNEL`,
      { cause: thrown },
    );
  }
}

/** Messages that wait in each queue and are in nobody's hands, in the order of partitions. Rejects as amqplib does. */
export async function readDepths(
  connection: BrokerConnection,
  of: { readonly channel: string; readonly partitions: number },
): Promise<readonly number[]> {
  const asking = await connection.channel();
  const names = Array.from({ length: of.partitions }, (_, partition) => queueName(of.channel, partition));
  const found = await connection.ask(() => Promise.all(names.map((name) => asking.checkQueue(name))));
  await connection.ask(() => asking.close());
  return found.map(({ messageCount }) => messageCount);
}

async function countQueues(connection: BrokerConnection, channel: string): Promise<number> {
  let count = 0;
  while (count < PARTITIONS_MAX && (await exists(connection, queueName(channel, count)))) count++;
  return count;
}

/** On a channel of its own: a no ends it. */
async function exists(connection: BrokerConnection, queue: string): Promise<boolean> {
  const asking = await connection.channel();
  try {
    await connection.ask(() => asking.checkQueue(queue));
    await connection.ask(() => asking.close());
    return true;
  } catch (thrown) {
    if (replyCode(thrown) === REPLY.notFound) return false;
    throw thrown;
  }
}

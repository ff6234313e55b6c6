// Owns RabbitMQ as what carries a fault run's commands: a node of the run's own.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import { queueName } from '../../../shared/transport/rabbitmq/queues.ts';
import { ownRabbit } from '../rabbitmq/available.ts';
import type { RabbitNode } from '../rabbitmq/node.ts';
import type { CarriedSystem, Carrier } from './carrier.ts';

export interface RabbitCarrier extends Carrier {
  readonly node: RabbitNode;
}

const AGAIN_MS = 200;

export async function openRabbitCarrier(): Promise<RabbitCarrier> {
  const node = await ownRabbit();
  const channel = `faults-${randomBytes(4).toString('hex')}`;
  return {
    node,
    settings: {
      ONELANE_TRANSPORT: 'rabbitmq',
      ONELANE_CHANNEL: channel,
      RABBITMQ_URL: node.url,
      // Whose event loop does not turn ends itself after so long: a zombie must live to wake.
      ONELANE_DECIDE_LIMIT: '2m',
    },
    behind: (system) => behind(system, node, channel),
    close: () => node.close(),
  };
}

/** Messages that wait, and those in hand, which may go back to waiting while they are counted. */
async function behind(system: CarriedSystem, node: RabbitNode, channel: string): Promise<number> {
  const partitions = await system.query<{ partition: number }>(`select partition from ${system.schema}.tenure`);
  const queues = partitions.map(({ partition }) => queueName(channel, partition));
  try {
    const before = await waiting(node, queues);
    if (before > 0) return before;
    return (await inHand(node)) + (await waiting(node, queues));
  } catch {
    // Not known now; that is not "nothing".
    await sleep(AGAIN_MS);
    return 1;
  }
}

async function waiting({ url }: RabbitNode, queues: readonly string[]): Promise<number> {
  const connection = await connect(url, { timeout: 5_000 });
  connection.on('error', () => undefined);
  try {
    const asking = await connection.createChannel();
    const found = await Promise.all(queues.map((queue) => asking.checkQueue(queue)));
    return found.reduce((sum, { messageCount }) => sum + messageCount, 0);
  } finally {
    await connection.close();
  }
}

/** Asked of the channels themselves: what a queue says of it is seconds old. */
async function inHand({ ctl }: RabbitNode): Promise<number> {
  const printed = await ctl('list_channels', 'messages_unacknowledged', '--no-table-headers');
  return printed
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .reduce((sum, line) => sum + Number(line), 0);
}

// Owns RabbitMQ as what carries a fault run's commands: a node of the run's own, and how far its queues have been read.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownRabbit } from '../rabbitmq/available.ts';
import type { RabbitNode } from '../rabbitmq/node.ts';
import type { Carrier } from './carrier.ts';

export interface RabbitCarrier extends Carrier {
  readonly node: RabbitNode;
}

/** A quorum queue counts what is in somebody's hands each 5 s. */
const COUNTED_MS = 6_000;
const AGAIN_MS = 500;

/** `settings`: more of them, for every child. */
export async function openRabbitCarrier(settings: Carrier['settings'] = {}): Promise<RabbitCarrier> {
  const node = await ownRabbit();
  const channel = `faults-${randomBytes(4).toString('hex')}`;
  let askedMs: number | null = null;
  return {
    node,
    settings: { ONELANE_TRANSPORT: 'rabbitmq', ONELANE_CHANNEL: channel, RABBITMQ_URL: node.url, ...settings },
    // Nobody publishes any more when this is asked: what was counted before may be old, what is counted from now on is an end.
    behind: async () => {
      askedMs ??= performance.now();
      await sleep(AGAIN_MS);
      const messages = await waiting(node, channel);
      return performance.now() - askedMs < COUNTED_MS ? Math.max(1, messages) : messages;
    },
    close: () => node.close(),
  };
}

/** Messages that no lane has settled, ready or in its hands. */
async function waiting(node: RabbitNode, channel: string): Promise<number> {
  const printed = await node.ctl('list_queues', '--no-table-headers', 'name', 'messages');
  const queues = printed.split('\n').map((line) => line.split('\t'));
  const log = queues.filter(([name = '']) => name.startsWith(`${channel}.`) && !name.endsWith('.stamp'));
  if (log.length === 0) throw new Error(`the node has no queue of ${channel}: ${printed}`);
  return log.reduce((sum, [, messages]) => sum + Number(messages), 0);
}

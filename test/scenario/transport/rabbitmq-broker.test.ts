// Owns what the product takes for granted of RabbitMQ itself: who gets a queue, in which order messages come again, and what a sleeper loses.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';

const SLEEPER = fileURLToPath(new URL('../../support/rabbitmq/sleeper.ts', import.meta.url));
const PATIENCE_MS = 30_000;
const DELIVERY_LIMIT = 2_147_483_647;
const QUORUM = { 'x-queue-type': 'quorum', 'x-single-active-consumer': true } as const;

interface Taken {
  readonly by: string;
  readonly text: string;
  readonly queue: string;
  readonly message: ConsumeMessage;
}

/** Consumers of one test by name, and what they took, in the order in which they did. */
class Story {
  readonly taken: Taken[] = [];
  readonly #connection: ChannelModel;

  constructor(connection: ChannelModel) {
    this.#connection = connection;
  }

  /** Calls `on` for each delivery before it is counted. */
  async consumer(
    by: string,
    given: { readonly queues: readonly string[]; readonly prefetch: number; on?(taken: Taken, channel: Channel): void },
  ): Promise<{ readonly channel: Channel; readonly tags: readonly string[] }> {
    const channel = await this.#connection.createChannel();
    await channel.prefetch(given.prefetch);
    let isClosing = false;
    const { close } = channel;
    channel.close = () => {
      // What is still on its way then is nobody's.
      isClosing = true;
      return close.call(channel);
    };
    const tags: string[] = [];
    for (const queue of given.queues) {
      const { consumerTag } = await channel.consume(queue, (message) => {
        if (message === null || isClosing) return;
        const taken = { by, text: message.content.toString(), queue, message };
        this.taken.push(taken);
        given.on?.(taken, channel);
      });
      tags.push(consumerTag);
    }
    return { channel, tags };
  }

  async until(count: number): Promise<void> {
    await expect.poll(() => this.taken.length, { timeout: PATIENCE_MS, interval: 20 }).toBeGreaterThanOrEqual(count);
  }

  texts(): string {
    return this.taken.map(({ text }) => text).join(' ');
  }
}

await describeWithRabbit('RabbitMQ', (rabbit) => {
  let connection: ChannelModel;
  let admin: Channel;
  const queues: string[] = [];

  beforeAll(async () => {
    connection = await connect(rabbit().url);
    admin = await connection.createChannel();
  });

  afterAll(async () => {
    for (const queue of queues) await admin.deleteQueue(queue);
    await connection.close();
  });

  const declare = async (more: Readonly<Record<string, unknown>> = { 'x-delivery-limit': DELIVERY_LIMIT }) => {
    const queue = `broker-${randomBytes(6).toString('hex')}`;
    await admin.assertQueue(queue, { durable: true, arguments: { ...QUORUM, ...more } });
    queues.push(queue);
    return queue;
  };

  const publish = async (queue: string, texts: readonly string[]) => {
    const publishing = await connection.createConfirmChannel();
    for (const text of texts) publishing.sendToQueue(queue, Buffer.from(text), { persistent: true });
    await publishing.waitForConfirms();
    await publishing.close();
  };

  test('gives all queues with a single active consumer to whoever came first: lanes must be shared out by leases', async () => {
    const eight: string[] = [];
    for (let made = 0; made < 8; made++) eight.push(await declare());
    const story = new Story(connection);
    const consumer = (by: string) =>
      story.consumer(by, { queues: eight, prefetch: 1, on: ({ message }, channel) => channel.ack(message) });
    const shares = async () => {
      const from = story.taken.length;
      for (const queue of eight) await publish(queue, ['x']);
      await story.until(from + eight.length);
      const names = story.taken.slice(from).map(({ by }) => by);
      return ['A', 'B', 'C'].map((name) => names.filter((by) => by === name).length);
    };
    const first = await consumer('A');
    await consumer('B');
    await consumer('C');
    expect(await shares()).toEqual([8, 0, 0]);
    await first.channel.close();
    expect(await shares()).toEqual([0, 8, 0]);
    await consumer('A');
    expect(await shares()).toEqual([0, 8, 0]);
  });

  const UNLIMITED = {};
  const LIMITED = { 'x-delivery-limit': DELIVERY_LIMIT };

  test.each([
    { how: 'closing the channel', limit: LIMITED, prefetch: 1, order: '1 1 2 3 4 5 6' },
    { how: 'closing the channel', limit: LIMITED, prefetch: 3, order: '1 1 2 3 4 5 6' },
    { how: 'closing the channel', limit: UNLIMITED, prefetch: 1, order: '1 1 2 3 4 5 6' },
    { how: 'closing the channel', limit: UNLIMITED, prefetch: 3, order: '1 1 2 3 4 5 6' },
    { how: 'nack', limit: LIMITED, prefetch: 1, order: '1 1 2 3 4 5 6' },
    // Why a retry never is a nack.
    { how: 'nack', limit: LIMITED, prefetch: 3, order: '1 2 3 1 4 5 6' },
    { how: 'nack', limit: UNLIMITED, prefetch: 1, order: '1 2 3 4 5 6 1' },
    { how: 'nack', limit: UNLIMITED, prefetch: 3, order: '1 2 3 4 5 6 1' },
  ])('what is given back by $how with prefetch $prefetch and $limit comes as $order', async (given) => {
    const queue = await declare(given.limit);
    await publish(queue, ['1', '2', '3', '4', '5', '6']);
    const story = new Story(connection);
    let isGivenBack = false;
    const consumer = (): Promise<unknown> =>
      story.consumer('A', {
        queues: [queue],
        prefetch: given.prefetch,
        on: ({ message }, channel) => {
          if (isGivenBack) {
            channel.ack(message);
          } else {
            isGivenBack = true;
            if (given.how === 'nack') channel.nack(message, false, true);
            else void channel.close().then(consumer);
          }
        },
      });
    await consumer();
    await story.until(7);
    expect(story.texts()).toBe(given.order);
  });

  /** A has three of six in hand, B waits; both settle what they get. */
  const handOver = async (leave: (a: Awaited<ReturnType<Story['consumer']>>) => Promise<unknown>) => {
    const queue = await declare();
    await publish(queue, ['1', '2', '3', '4', '5', '6']);
    const story = new Story(connection);
    const a = await story.consumer('A', { queues: [queue], prefetch: 3 });
    await story.until(3);
    await story.consumer('B', { queues: [queue], prefetch: 6, on: ({ message }, channel) => channel.ack(message) });
    await leave(a);
    return { story, a };
  };

  test('a consumer that is cancelled keeps what it has, and its successor begins behind that', async () => {
    const { story, a } = await handOver(({ channel, tags }) => channel.cancel(tags[0] ?? ''));
    await story.until(6);
    expect(story.taken.map(({ by, text }) => by + text).join(' ')).toBe('A1 A2 A3 B4 B5 B6');
    // Settled last, though they were first.
    for (const { message } of story.taken.slice(0, 3)) a.channel.ack(message);
  });

  test('a channel that is closed gives back what it has, in order, and its successor begins with that', async () => {
    const { story } = await handOver(({ channel }) => channel.close());
    await story.until(9);
    expect(story.taken.map(({ by, text }) => by + text).join(' ')).toBe('A1 A2 A3 B1 B2 B3 B4 B5 B6');
  });

  test('hands on what a consumer sleeps over, while it is still at it; and its ack, later, is refused', async () => {
    const queue = await declare();
    await publish(queue, ['1', '2']);
    const sleeper = spawn(
      process.execPath,
      ['--import', 'jiti/register', SLEEPER, `${rabbit().url}?heartbeat=1`, queue, '7000'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const told: string[] = [];
    createInterface({ input: sleeper.stdout }).on('line', (line) => told.push(line));
    const hears = (line: string) => expect.poll(() => told, { timeout: PATIENCE_MS }).toContain(line);
    try {
      await hears('took 1');
      const story = new Story(connection);
      await story.consumer('B', { queues: [queue], prefetch: 2, on: ({ message }, channel) => channel.ack(message) });
      await story.until(2);
      expect(story.texts()).toBe('1 2');
      expect(story.taken.map(({ message }) => message.fields.redelivered)).toEqual([true, false]);
      expect(told).toEqual(['took 1']);
      await hears('ack refused: IllegalOperationError');
      expect(told[1]).toBe('applied 1');
    } finally {
      sleeper.kill('SIGKILL');
    }
  });
});

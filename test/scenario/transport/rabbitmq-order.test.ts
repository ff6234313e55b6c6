// Owns the proof that a partition's order holds though channels, connections and lanes end again and again; and of what it rests on.
import { connect } from 'amqplib';
import { afterEach, describe, expect, test } from 'vitest';
import { partition, type Partition } from '../../../shared/command/identity.ts';
import { Latest } from '../../../shared/process/latest.ts';
import type { Lane } from '../../../shared/transport/transport.ts';
import { queueName, stampName } from '../../../shared/transport/rabbitmq/queues.ts';
import { describeWithNode } from '../../support/rabbitmq/describe.ts';
import { entryOf, openTestLog, take, texts } from '../../support/rabbitmq/log.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const P0 = partition(0);
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

await describeWithNode('order', {}, (rabbit) => {
  const bundle = async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    closing.push(() => log.close());
    const transport = log.open();
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    /** Each a message of its own: `m0`, `m1`, … */
    const publish = async (count: number, from = 0) => {
      for (let at = from; at < from + count; at++) await publisher.publish([entryOf(log, P0, `m${at}`)]);
    };
    return { log, transport, publisher, publish };
  };

  const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, at) => `m${from + at}`);
  const settleLast = async (lane: Lane, deliveries: Awaited<ReturnType<typeof take>>, commits: bigint) => {
    const last = deliveries.at(-1);
    if (last !== undefined) await lane.settle(last.position, commits);
  };

  describe('of what the broker gives back', () => {
    /** What one channel gets, with room for so many, before it is closed. */
    const consume = async (queue: string, prefetch: number, until: number): Promise<readonly string[]> => {
      const connection = await connect(rabbit().url);
      const channel = await connection.createChannel();
      await channel.prefetch(prefetch);
      const got: string[] = [];
      await new Promise<void>((resolve) => {
        void channel.consume(queue, (message) => {
          if (got.push(String(message?.content)) === until) resolve();
        });
      });
      await channel.close();
      await connection.close();
      return got;
    };

    test('holds while no channel has room for fewer than the one before', async () => {
      const { log, publish } = await bundle();
      await publish(40);
      const queue = queueName(log.channel, 0);
      for (const prefetch of [16, 16, 16, 32, 32, 64]) {
        const wanted = Math.min(prefetch, 40);
        expect(await consume(queue, prefetch, wanted)).toEqual(numbered(wanted));
      }
    });

    test('does not hold otherwise: what had no room comes before what had some', async () => {
      const { log, publish } = await bundle();
      await publish(40);
      const queue = queueName(log.channel, 0);
      expect(await consume(queue, 32, 32)).toEqual(numbered(32));
      expect(await consume(queue, 16, 16)).toEqual(numbered(16));
      // A lane that comes now would apply the later ones first: no lane ever asks for fewer.
      expect(await consume(queue, 32, 32)).toEqual([...numbered(16, 16), ...numbered(16)]);
    });
  });

  test('holds in one lane that is never settled, however many messages it has in hand', async () => {
    const { log, transport, publish } = await bundle();
    await publish(300);
    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, 250))).toEqual(numbered(250));
  });

  test('holds over lanes that end anywhere, with few or many messages in hand', async () => {
    const { log, transport, publish } = await bundle();
    await publish(200);
    let settled = 0;
    let commits = 0n;
    // Some take so many that they need more room than the others begin with.
    for (const [taken, applied] of [
      [90, 3],
      [5, 0],
      [1, 1],
      [80, 60],
      [20, 7],
      [30, 0],
      [2, 2],
    ] as const) {
      const lane = await log.lane(transport, P0, { commits });
      const deliveries = await take(lane, taken);
      expect(texts(deliveries)).toEqual(numbered(taken, settled));
      if (applied > 0) await settleLast(lane, deliveries.slice(0, applied), ++commits);
      settled += applied;
      await lane.release();
    }
    const rest = await log.lane(transport, P0, { commits });
    expect(texts(await take(rest, 200 - settled))).toEqual(numbered(200 - settled, settled));
  });

  test('holds though nobody knows what the lane before had in hand, as after a stamp was deleted', async () => {
    const { log, transport, publish } = await bundle();
    await publish(60);
    const lane = await log.lane(transport, P0);
    const deliveries = await take(lane, 50);
    await settleLast(lane, deliveries.slice(0, 2), 1n);
    await lane.release();
    await log.admin.deleteQueue(stampName(log.channel, 0));
    await log.open().provision(1);
    const next = await log.lane(transport, P0, { commits: 1n });
    expect(texts(await take(next, 58))).toEqual(numbered(58, 2));
  });

  test('holds in a lane whose connections the broker ends: it hands out nothing twice, and settles what it had', async () => {
    const { log, transport, publish } = await bundle();
    await publish(120);
    const lane = await log.lane(transport, P0);
    const got: string[] = [];
    for (let round = 0; round < 4; round++) {
      const deliveries = await take(lane, 30);
      got.push(...texts(deliveries));
      if (round < 3) await rabbit().ctl('close_all_connections', 'an operator does it');
      await expect
        .poll(
          () =>
            settleLast(lane, deliveries.slice(0, 25), BigInt(round + 1)).then(
              () => 'settled',
              () => 'not yet',
            ),
          { timeout: 15_000 },
        )
        .toBe('settled');
      expect(lane.lost.aborted).toBe(false);
    }
    expect(got).toEqual(numbered(120));
    await lane.release();
    // Acks may have got lost, and what they stood for comes again in order; but never what the stamp names as settled last.
    const next = await log.lane(log.open(), P0, { commits: 4n });
    const again: string[] = [];
    while (again.at(-1) !== 'm119') again.push(...texts(await take(next, 1)));
    const from = Number(again[0]?.slice(1));
    expect(from).toBeLessThanOrEqual(115);
    expect(again).toEqual(numbered(120 - from, from).filter((text) => text !== 'm114'));
  });

  test('holds at a hand-over: a successor gets nothing before a lease that ended has closed its channel, whoever still holds the lane', async () => {
    const { log, transport, publish } = await bundle();
    await publish(10);
    const mine = new Latest<ReadonlySet<Partition>>(new Set([P0]));
    const subscription = await transport.openSubscription(mine);
    const stop = new AbortController();
    const lanes = subscription.lanes(stop.signal)[Symbol.asyncIterator]();
    const { value: holder } = await lanes.next();
    closing.push(async () => {
      await holder.release();
      stop.abort();
      await subscription.close();
    });
    await holder.start({ next: null, last: null, commits: 0n });
    expect(texts(await take(holder, 5))).toEqual(numbered(5));
    const successor = await log.lane(log.open(), P0);
    expect(await successor.next({ count: 9, bytes: 1_000, waitMs: 500 })).toEqual([]);
    // The holder does nothing: it may stand still, or wait for a database.
    mine.set(new Set());
    expect(texts(await take(successor, 10))).toEqual(numbered(10));
  });

  test('holds though an answer gets lost: what was stored is unknown, and comes once more before anything later', async () => {
    const { log, transport } = await bundle();
    const gate = await openTcpGate(`tcp://127.0.0.1:${new URL(rabbit().url).port}`);
    closing.push(() => gate.close());
    const access = {
      host: '127.0.0.1',
      port: Number(new URL(gate.url).port),
      username: 'guest',
      password: 'guest',
      vhost: '/',
      tls: null,
    };
    const behind = await log.open({ access }).openPublisher();
    closing.push(() => behind.close());
    const batch = ['a', 'b', 'c'].map((text) => entryOf(log, P0, text));
    expect((await behind.publish([entryOf(log, P0, 'first')]))[0]?.kind).toBe('stored');
    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, 1))).toEqual(['first']);
    gate.swallowAnswers();
    const answer = behind.publish(batch);
    expect(texts(await take(lane, 3))).toEqual(['a', 'b', 'c']);
    gate.admit();
    expect((await answer).map(({ kind }) => kind)).toEqual(['unknown', 'unknown', 'unknown']);
    expect((await behind.publish(batch)).map(({ kind }) => kind)).toEqual(['stored', 'stored', 'stored']);
    expect((await behind.publish([entryOf(log, P0, 'later')]))[0]?.kind).toBe('stored');
    expect(texts(await take(lane, 4))).toEqual(['a', 'b', 'c', 'later']);
  });
});

// Owns the proof that a database which knows less than the broker was told halts its lanes, and that stamps stand before acks.
import { setTimeout } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { rabbitOf } from '../../../operators/wiring/rabbitmq-settings.ts';
import { epoch, newUuid, partition, type Partition } from '../../../shared/command/identity.ts';
import { asError } from '../../../shared/process/errors.ts';
import { Latest } from '../../../shared/process/latest.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { BrokerAway } from '../../../shared/transport/broker-away.ts';
import { openConnection, type BrokerConnection } from '../../../shared/transport/rabbitmq/client.ts';
import { PREFETCH_FIRST } from '../../../shared/transport/rabbitmq/prefetch.ts';
import { stampName } from '../../../shared/transport/rabbitmq/queues.ts';
import { StampWriter } from '../../../shared/transport/rabbitmq/stamps.ts';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';
import { entriesOf, entryOf, openTestLog, take, texts, told, type TestLog } from '../../support/rabbitmq/log.ts';

const P0 = partition(0);
const logs: TestLog[] = [];

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
});

await describeWithRabbit('a stamp', (rabbit) => {
  /** Ten entries in one message, of which the first six were settled with the database's fifth commit. */
  const bundle = async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    logs.push(log);
    const transport = log.open();
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    await publisher.publish(entriesOf(log, P0, 'e', 10));
    await publisher.close();
    const lane = await log.lane(transport, P0);
    const deliveries = await take(lane, 10);
    const sixth = deliveries[5];
    if (sixth === undefined) throw new Error('there are ten');
    await lane.settle(sixth.position, 5n);
    await lane.release();
    return { log, transport, appendedAt: sixth.appendedAt };
  };

  test('that knows of more commits than the database halts the lane, and says which commands must be sent again', async () => {
    const { log, transport, appendedAt } = await bundle();
    const sentence = await told(() => log.lane(transport, P0, { commits: 4n }));
    expect(sentence).toBe(
      `partition 0: the database holds 4 commits where the broker was told of 5: it was restored to an older state, and what it has lost is gone from the queue; restore a newer one, or have callers repeat, with the same ids, what they sent since the database's last entry and until ${appendedAt.toISOString()}, then delete queue "${stampName(log.channel, 0)}" and restart [log-diverged]`,
    );
    // And so for every lane that comes, until somebody has done what the sentence says.
    expect(await told(() => log.lane(log.open(), P0, { commits: 4n }))).toBe(sentence);
    await log.admin.deleteQueue(stampName(log.channel, 0));
    await log.open().provision(1);
    const lane = await log.lane(transport, P0, { commits: 4n });
    expect(texts(await take(lane, 10))).toHaveLength(10);
  });

  test('that knows of as many, or of fewer, lets the lane go on where it was, within a message too', async () => {
    const { log, transport } = await bundle();
    for (const commits of [5n, 9n]) {
      const lane = await log.lane(transport, P0, { commits });
      expect(texts(await take(lane, 4))).toEqual(['e6', 'e7', 'e8', 'e9']);
      await lane.release();
    }
    expect(log.events.filter(({ kind }) => kind === 'log-warned')).toEqual([]);
  });

  test('that knows of a claim which the database has yet to make halts the lane, too, however many commits there are', async () => {
    const { log, transport } = await bundle();
    const stamping = await log.lane(transport, P0, { commits: 5n, epoch: epoch(3n) });
    const [next] = await take(stamping, 1);
    if (next === undefined) throw new Error('there are four');
    await stamping.settle(next.position, 6n);
    await stamping.release();
    expect(await told(() => log.lane(transport, P0, { commits: 9n, epoch: epoch(3n) }))).toMatch(
      /^partition 0: the database has come to claim 3 where the broker was told of claim 3 before: it was restored to an older state, .* \[log-diverged\]$/,
    );
    const later = await log.lane(transport, P0, { commits: 6n, epoch: epoch(4n) });
    expect(texts(await take(later, 3))).toEqual(['e7', 'e8', 'e9']);
  });

  test('of a lane that asked for more before it had committed anything does not name its claim', async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    logs.push(log);
    const transport = log.open();
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    for (let at = 0; at < PREFETCH_FIRST + 4; at++) await publisher.publish([entryOf(log, P0, `g${at}`)]);
    await publisher.close();
    const at = { commits: 0n, epoch: epoch(3n) };
    const hungry = await log.lane(transport, P0, at);
    expect(await take(hungry, PREFETCH_FIRST + 4)).toHaveLength(PREFETCH_FIRST + 4);
    await hungry.release();
    // The claim was lost in a failover, and is made again.
    const again = await log.lane(transport, P0, at);
    expect(texts(await take(again, 2))).toEqual(['g0', 'g1']);
  });

  test('is not judged by a lane that was lost while it started: its successor may have written it', async () => {
    const { transport } = await bundle();
    const mine = new Latest<ReadonlySet<Partition>>(new Set([P0]));
    const subscription = await transport.openSubscription(mine);
    const { value: lane } = await subscription.lanes(new AbortController().signal)[Symbol.asyncIterator]().next();
    if (lane === undefined) throw new Error('a lane is yielded');
    mine.set(new Set());
    await vi.waitFor(() => expect(lane.lost.aborted).toBe(true), 5_000);
    await lane.start({ next: null, last: null, commits: 4n });
    await lane.release();
    await subscription.close();
  });

  test('of another system halts the lane: two databases share one log', async () => {
    const { log } = await bundle();
    const other = log.open({ systemId: newUuid() });
    expect(await told(() => log.lane(other, P0, { commits: 5n }))).toMatch(
      /was written by another system \(.*\): two databases share one log; give one of them another ONELANE_CHANNEL \[log-diverged\]$/,
    );
  });

  test('that is gone, though the database has commits, is warned of: the broker may have lost its queues', async () => {
    const { log, transport } = await bundle();
    await log.admin.purgeQueue(stampName(log.channel, 0));
    await log.lane(transport, P0, { commits: 5n });
    expect(log.events).toContainEqual({
      kind: 'log-warned',
      detail: expect.stringMatching(/^partition 0 has no stamp in queue .*: if the broker has lost its queues/),
    });
  });

  test('is there once, whoever looks at it, and however often', async () => {
    const { log, transport } = await bundle();
    for (let look = 0; look < 5; look++) await (await log.lane(transport, P0, { commits: 5n })).release();
    const { messageCount } = await log.admin.checkQueue(stampName(log.channel, 0));
    expect(messageCount).toBe(1);
    const lanes = await Promise.all([1, 2, 3].map(() => log.lane(log.open(), P0, { commits: 5n })));
    await Promise.all(lanes.map((lane) => lane.release()));
    expect((await log.admin.checkQueue(stampName(log.channel, 0))).messageCount).toBe(1);
  });

  test('that cannot be written keeps the ack back: what it stands for is delivered again', async () => {
    const { log, transport } = await bundle();
    const lane = await log.lane(transport, P0, { commits: 5n });
    const deliveries = await take(lane, 4);
    const last = deliveries.at(-1);
    if (last === undefined) throw new Error('there are four');
    await log.admin.deleteQueue(stampName(log.channel, 0));
    expect(await told(() => lane.settle(last.position, 6n))).toMatch(/\[queue-missing\]$/);
    await lane.release();
    await log.open().provision(1);
    const next = await log.lane(transport, P0, { commits: 6n });
    expect(texts(await take(next, 10))).toHaveLength(10);
  });

  test('that was given up is not written when its connection comes at last: a successor may have stamped by then', async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    logs.push(log);
    await log.open().provision(1);
    const { access } = rabbitOf({ rabbitmqUrl: rabbit().url, rabbitmqSslCa: null });
    const connection = await openConnection({ access, heartbeatSeconds: 10, clock: systemClock });
    let arrive: (connection: BrokerConnection) => void = () => undefined;
    const late = new Promise<BrokerConnection>((resolve) => (arrive = resolve));
    const writer = new StampWriter({
      slot: { get: () => late, close: () => connection.close() },
      channel: log.channel,
      explain: (thrown) => new BrokerAway(asError(thrown).message),
      clock: systemClock,
    });
    const stamp = { system: log.systemId, epoch: null, commits: 7n, head: null, appendedAt: new Date(), prefetch: 8 };
    const stop = new AbortController();
    const writing = writer.write(P0, stamp, stop.signal);
    stop.abort();
    await expect(writing).rejects.toThrow(/not confirmed in time/);
    arrive(connection);
    await setTimeout(500);
    expect((await log.admin.checkQueue(stampName(log.channel, 0))).messageCount).toBe(0);
    await writer.write(P0, stamp, new AbortController().signal);
    expect((await log.admin.checkQueue(stampName(log.channel, 0))).messageCount).toBe(1);
    await writer.close();
  });
});

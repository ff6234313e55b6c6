// Owns the proof that queues which cannot be the log are refused, and that queues which are full or gone are told as they are.
import { afterEach, expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { queueName, stampName } from '../../../shared/transport/rabbitmq/queues.ts';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';
import { entriesOf, entryOf, openTestLog, take, texts, told, type TestLog } from '../../support/rabbitmq/log.ts';

const P0 = partition(0);
const logs: TestLog[] = [];

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
});

await describeWithRabbit('the queues of a log', (rabbit) => {
  const bundle = async (partitions = 3) => {
    const log = await openTestLog({ url: rabbit().url, partitions });
    logs.push(log);
    return log;
  };

  test.each([
    ['without a single active consumer', { 'x-single-active-consumer': false }],
    ['with a delivery limit that can be reached', { 'x-delivery-limit': 20 }],
    ['that drops its oldest messages', { 'x-overflow': 'drop-head' }],
  ])('one %s is refused in one sentence that says what to do', async (_, wrong) => {
    const log = await bundle();
    const queue = queueName(log.channel, 1);
    const args = {
      'x-queue-type': 'quorum',
      'x-single-active-consumer': true,
      'x-delivery-limit': 2_147_483_647,
      'x-max-length': 1_000_000,
      'x-max-length-bytes': 4 * 1024 ** 3,
      'x-overflow': 'reject-publish',
    };
    await log.admin.assertQueue(queue, { durable: true, arguments: { ...args, ...wrong } });
    const sentence = await told(() => log.open().provision(3));
    expect(sentence).toContain(`queue "${queue}" is at the broker with other arguments than a log needs`);
    expect(sentence).toMatch(/delete it and start again, or name another ONELANE_CHANNEL \[queue-unfit\]$/);
  });

  test.each([
    [2, 'the log has 3 partitions and the system wants 2'],
    [4, 'the log has 3 partitions and the system wants 4'],
  ])('for %i partitions, where there are three, are refused, and none is made', async (partitions, sentence) => {
    const log = await bundle();
    await log.open().provision(3);
    const other = log.open({ partitions });
    expect(await told(() => other.provision(partitions))).toMatch(`${sentence}: a system keeps its number for ever`);
    expect((await log.open().ends()).length).toBe(3);
    expect(await told(() => other.ends())).toMatch(partitions === 4 ? /\[queue-missing\]$/ : /^nothing$/);
  });

  test('that were made in part only, as the process ended meanwhile, are made in full by the next', async () => {
    const log = await bundle();
    await log.open().provision(3);
    for (const name of [queueName(log.channel, 0), stampName(log.channel, 0), stampName(log.channel, 1)]) {
      await log.admin.deleteQueue(name);
    }
    await log.open().provision(3);
    expect((await log.open().ends()).map(({ waiting }) => waiting)).toEqual([0, 0, 0]);
  });

  test('that are full refuse a whole micro-batch: of what was published a prefix is stored, and later there is room', async () => {
    const log = await bundle(1);
    const transport = log.open({ limits: { messages: 2, bytes: 1 << 20 } });
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    const kinds: string[] = [];
    for (let call = 0; call < 6; call++) {
      const results = await publisher.publish(entriesOf(log, P0, `c${call}:`, 3));
      expect(new Set(results.map(({ kind }) => kind)).size).toBe(1);
      kinds.push(results[0]?.kind ?? 'none');
      expect(results[0]).toMatchObject(
        results[0]?.kind === 'stored'
          ? { position: null }
          : { retry: true, reason: expect.stringContaining('is full') },
      );
    }
    const stored = kinds.lastIndexOf('stored') + 1;
    expect(stored).toBeGreaterThanOrEqual(2);
    expect(kinds).toEqual([...Array<string>(stored).fill('stored'), ...Array<string>(6 - stored).fill('refused')]);

    const lane = await log.lane(transport, P0);
    const deliveries = await take(lane, stored * 3);
    expect(texts(deliveries)).toEqual(
      Array.from({ length: stored * 3 }, (_, at) => `c${Math.floor(at / 3)}:${at % 3}`),
    );
    const last = deliveries.at(-1);
    if (last !== undefined) await lane.settle(last.position, 1n);
    await expect
      .poll(async () => (await publisher.publish([entryOf(log, P0, 'later')]))[0]?.kind, { timeout: 10_000 })
      .toBe('stored');
    await publisher.close();
  });

  test('that are full within a micro-batch of several messages store a prefix of it, and refuse the rest to be tried again', async () => {
    const log = await bundle(1);
    const transport = log.open({ limits: { messages: 2, bytes: 1 << 24 } });
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    // Two go in one message of 256 KiB.
    const large = Array.from({ length: 20 }, (_, at) => `${String(at).padStart(2, '0')}${'x'.repeat(100 * 1024)}`);
    const results = await publisher.publish(large.map((text) => entryOf(log, P0, text)));
    const kinds = results.map(({ kind }) => kind);
    const stored = kinds.lastIndexOf('stored') + 1;
    expect(stored).toBeGreaterThanOrEqual(4);
    expect(stored).toBeLessThan(large.length);
    expect(kinds).toEqual(large.map((_, at) => (at < stored ? 'stored' : 'refused')));
    for (const refused of results.slice(stored)) expect(refused).toMatchObject({ retry: true });

    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, stored))).toEqual(large.slice(0, stored));
    await publisher.close();
  });

  test('that are deleted under a running system are told by publisher and lane; made again, both go on', async () => {
    const log = await bundle(1);
    const transport = log.open();
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    const lane = await log.lane(transport, P0);
    await publisher.publish([entryOf(log, P0, 'before')]);
    expect(texts(await take(lane, 1))).toEqual(['before']);

    await log.admin.deleteQueue(queueName(log.channel, 0));
    const [refused] = await publisher.publish([entryOf(log, P0, 'nowhere')]);
    expect(refused).toMatchObject({
      kind: 'refused',
      retry: true,
      reason: expect.stringContaining('does not exist at the broker'),
    });
    await expect
      .poll(() => told(() => lane.next({ count: 1, bytes: 1_000, waitMs: 10 })), { timeout: 10_000 })
      .toMatch(/does not exist at the broker: if it was deleted, the commands in it are gone; .*\[queue-missing\]$/);

    await log.open().provision(1);
    expect((await publisher.publish([entryOf(log, P0, 'after')]))[0]?.kind).toBe('stored');
    // What was in the hands of this lane is not in the queue any more: it cannot know what else is gone, and begins anew.
    await expect.poll(() => lane.lost.aborted, { timeout: 10_000 }).toBe(true);
    expect(log.events).toContainEqual(expect.objectContaining({ kind: 'log-torn', partition: 0 }));
    const anew = await log.lane(transport, P0);
    expect(texts(await take(anew, 1))).toEqual(['after']);
    await publisher.close();
  });
});

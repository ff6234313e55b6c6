// Owns the proof that sizes and silence have their ends: batches that a broker does not take, and one that does not answer a close.
import { afterEach, expect, test } from 'vitest';
import { newCommandId, partition, trustedKey } from '../../../shared/command/identity.ts';
import { Latest } from '../../../shared/process/latest.ts';
import type { Routed } from '../../../shared/transport/transport.ts';
import { describeWithKafka } from '../../support/kafka/describe.ts';
import { detoursThrough } from '../../support/kafka/detours.ts';
import { openTestLog } from '../../support/kafka/log.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const entry = (bytes: number, key: string): Routed => ({
  partition: partition(0),
  key: trustedKey(key),
  id: newCommandId(),
  bytes: Buffer.alloc(bytes, 'x'),
  headers: {},
});

const KEY = `account/${'k'.repeat(500)}`;

await describeWithKafka('a batch', (kafka) => {
  const bundle = async () => {
    const log = await openTestLog({ brokers: kafka().brokers });
    closing.push(() => log.close());
    return log;
  };

  test('is cut by what its records have on the wire, keys and framing included', async () => {
    const log = await bundle();
    const transport = log.open();
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    const batch = Array.from({ length: 2_000 }, () => entry(400, KEY));
    const results = await publisher.publish(batch);
    const positions = results.map((each) => (each.kind === 'stored' ? Number(each.position) : each));
    expect(positions).toEqual(batch.map((_, at) => at));
  });

  test('that the topic does not take is halved, in order; an entry that it never takes is refused, and what stands behind it waits', async () => {
    const log = await bundle();
    await log.admin.createTopics({
      waitForLeaders: false,
      topics: [
        {
          topic: log.topic,
          numPartitions: 1,
          configEntries: [{ name: 'max.message.bytes', value: '50000' }],
        },
      ],
    });
    // Not provisioned: that would refuse it.
    const transport = log.open();
    await expect.poll(() => transport.ends().catch(() => [])).toHaveLength(1);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    const batch = Array.from({ length: 300 }, () => entry(1_000, 'account/1'));
    const results = await publisher.publish(batch);
    expect(results.map((each) => (each.kind === 'stored' ? Number(each.position) : each))).toEqual(
      batch.map((_, at) => at),
    );
    const [large] = await publisher.publish([entry(60_000, 'account/1')]);
    expect(large).toMatchObject({ kind: 'refused', retry: false });
    const [small] = await publisher.publish([entry(10, 'account/1')]);
    expect(small).toEqual({ kind: 'stored', position: 300n });
    // In one call, what stands before it is stored, and said to be.
    const among = await publisher.publish([10, 60_000, 10, 10].map((size) => entry(size, 'account/1')));
    expect(among).toEqual([
      { kind: 'stored', position: 301n },
      expect.objectContaining({ kind: 'refused', retry: false }),
      expect.objectContaining({ kind: 'refused', retry: true }),
      expect.objectContaining({ kind: 'refused', retry: true }),
    ]);
    expect((await log.admin.fetchTopicOffsets(log.topic))[0]?.high).toBe('302');
  });
});

/** Well below what stopping may take. */
const CLOSE_MS_MAX = 6_000;

await describeWithKafka('a broker that does not answer', (kafka) => {
  test('holds up no close, of members that join and of producers that send', async () => {
    const [broker = ''] = kafka().brokers;
    const gate = await openTcpGate(`tcp://${broker}`);
    closing.push(() => gate.close());
    const log = await openTestLog({ brokers: kafka().brokers });
    closing.push(() => log.close());
    const detours = detoursThrough(new Map([[broker, gate]]));
    const transport = log.open({ detours, sessionMs: 30_000 });
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    const stored = await publisher.publish([entry(10, 'account/1')]);
    expect(stored[0]?.kind).toBe('stored');
    const subscription = await transport.openSubscription(new Latest(new Set()));
    gate.swallowAnswers();
    const sending = publisher.publish([entry(10, 'account/1')]);
    const startedMs = performance.now();
    await Promise.all([subscription.close(), publisher.close()]);
    expect(performance.now() - startedMs).toBeLessThan(CLOSE_MS_MAX);
    expect((await sending)[0]?.kind).toBe('unknown');
    expect((await publisher.publish([entry(10, 'account/1')]))[0]?.kind).toBe('refused');
    await transport.close();
    await expect.poll(() => gate.connections()).toBe(0);
  });
});

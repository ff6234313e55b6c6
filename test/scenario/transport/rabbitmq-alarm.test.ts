// Owns the proof that a broker with an alarm is back-pressure: told as it is, nothing lost, and over by itself.
import { afterEach, expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { describeWithNode } from '../../support/rabbitmq/describe.ts';
import { entriesOf, entryOf, openTestLog, take, texts } from '../../support/rabbitmq/log.ts';

const P0 = partition(0);
const PATIENCE = { timeout: 20_000 };
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

await describeWithNode('an alarm of the broker', {}, (rabbit) => {
  const raise = () => rabbit().ctl('set_vm_memory_high_watermark', '0');
  const clear = () => rabbit().ctl('set_vm_memory_high_watermark', '0.6');

  const bundle = async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 2 });
    closing.push(() => log.close(), clear);
    const transport = log.open();
    await transport.provision(2);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    return { log, transport, publisher };
  };

  test('is told as soon as the broker says so: commands are refused, and what was on its way is stored when it is over', async () => {
    const { log, transport, publisher } = await bundle();
    expect((await publisher.publish([entryOf(log, P0, 'before')]))[0]?.kind).toBe('stored');
    expect(publisher.takes?.()).toBe(true);
    await raise();
    const onItsWay = publisher.publish([entryOf(log, P0, 'on its way')]);
    await expect.poll(() => publisher.takes?.(), PATIENCE).toBe(false);
    const [refused] = await publisher.publish(entriesOf(log, partition(1), 'x', 2));
    expect(refused).toMatchObject({
      kind: 'refused',
      retry: true,
      reason: expect.stringMatching(/takes nothing at the moment \(low on memory\): free memory or disk there$/),
    });
    await clear();
    expect((await onItsWay)[0]?.kind).toBe('stored');
    await expect.poll(() => publisher.takes?.(), PATIENCE).toBe(true);
    expect((await publisher.publish([entryOf(log, P0, 'after')]))[0]?.kind).toBe('stored');
    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, 3))).toEqual(['before', 'on its way', 'after']);
  });

  test('does not keep a lane from reading, from being released, nor another from taking over', async () => {
    const { log, transport, publisher } = await bundle();
    await publisher.publish(entriesOf(log, P0, 'e', 6));
    const lane = await log.lane(transport, P0);
    const [first] = await take(lane, 1);
    if (first === undefined) throw new Error('there are six');
    await lane.settle(first.position, 1n);
    await raise();
    const [second] = await take(lane, 1);
    if (second === undefined) throw new Error('there are six');
    await expect(lane.settle(second.position, 2n)).rejects.toThrow(
      'the stamp of partition 0 was not confirmed in time',
    );
    await lane.release();
    const next = await log.lane(log.open(), P0, { commits: 2n });
    // What could not be stamped comes again; the ledger knows it.
    expect(texts(await take(next, 5))).toEqual(['e1', 'e2', 'e3', 'e4', 'e5']);
    await clear();
    const last = (await take(next, 0)).at(-1) ?? second;
    await expect
      .poll(
        () =>
          next.settle(last.position, 3n).then(
            () => 'settled',
            () => 'not yet',
          ),
        PATIENCE,
      )
      .toBe('settled');
  });

  test('is over by itself for a lane that had everything it may have in hand committed meanwhile', async () => {
    const { log, transport, publisher } = await bundle();
    // Each a message of its own, and more than a lane has in hand at first.
    for (let n = 0; n < 40; n++) await publisher.publish([entryOf(log, P0, `e${n}`)]);
    const lane = await log.lane(transport, P0);
    const inHand = await take(lane, 16);
    const last = inHand.at(-1);
    if (last === undefined) throw new Error('there are forty');
    await raise();
    await expect(lane.settle(last.position, 1n)).rejects.toThrow('was not confirmed in time');
    await clear();
    const rest = Array.from({ length: 24 }, (_, index) => `e${16 + index}`);
    expect(texts(await take(lane, 24))).toEqual(rest);
    await expect.poll(async () => (await transport.ends())[0]?.waiting, PATIENCE).toBe(24);
  });
});

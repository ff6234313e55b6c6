// Owns the cases about what comes out: order, positions, bytes and headers.
import assert from 'node:assert/strict';
import type { Position } from '../../../shared/command/identity.ts';
import type { PublishResult } from '../../../shared/transport/transport.ts';
import type { ConformanceCase } from './run-case.ts';
import { numbered, store, texts } from './stage.ts';

export const orderCases: readonly ConformanceCase[] = [
  {
    name: 'a partition delivers its entries in the order in which they were published',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      for (let call = 0; call < 20; call++) {
        await store(
          publisher,
          numbered('e', 1 + (call % 7), call * 10).map((text) => stage.entry(partition, text)),
        );
      }
      const expected = Array.from({ length: 20 }, (_, call) => numbered('e', 1 + (call % 7), call * 10)).flat();
      assert.deepEqual(texts(await stage.take(lane, expected.length)), expected);
      await stage.expectQuiet(lane);
    },
  },
  {
    name: 'results are in the order of the input, and positions rise by one',
    async run(stage) {
      const { publisher } = await stage.readyLane();
      const batch = numbered('m', 60).map((text, index) => stage.entry(stage.at(index * index), text));
      const results = [...(await store(publisher, batch)), ...(await store(publisher, batch))];
      for (const partition of stage.partitions) {
        const its = results.filter((_, index) => batch[index % batch.length]?.partition === partition).map(positionOf);
        if (stage.fixture.traits.positions === 'lane') {
          assert.ok(
            its.every((each) => each === null),
            'positions of a lane are not told to publishers',
          );
        } else {
          assert.deepEqual(its, rising(its[0] ?? null, its.length), `partition ${partition}`);
        }
      }
    },
  },
  {
    name: 'a delivery has the position that its publisher was told',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const told = [
        ...(await store(publisher, stage.entries(partition, 'a', 5))),
        ...(await store(publisher, stage.entries(partition, 'b', 3))),
      ];
      const deliveries = await stage.take(lane, 8);
      assert.deepEqual(
        deliveries.map((each) => each.position),
        told.map(positionOf),
      );
    },
  },
  {
    name: 'entries of many partitions in one call keep their order in each',
    async run(stage) {
      const { process, publisher, consumer } = await stage.readyLane();
      const reader = consumer;
      await store(
        publisher,
        numbered('x', 200).map((text, index) => stage.entry(stage.at(index), text)),
      );
      for (const partition of stage.partitions.slice(1)) {
        const lane = await stage.start(reader, partition, null);
        const expected = numbered('x', 200).filter((_, index) => stage.at(index) === partition);
        assert.deepEqual(texts(await stage.take(lane, expected.length)), expected);
      }
      assert.equal((await process.transport.ends()).length, stage.partitions.length);
    },
  },
  {
    name: 'publishers of several processes on one partition lose nothing, double nothing, and each keeps its order',
    async run(stage) {
      const { lane, partition } = await stage.readyLane();
      const results: PublishResult[] = [];
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        const { transport } = await stage.process();
        const publisher = await stage.publisher(transport);
        for (let call = 0; call < 15; call++) {
          const entries = numbered(`w${writer}:`, 4, call * 4).map((text) => stage.entry(partition, text));
          results.push(...(await store(publisher, entries)));
        }
      });
      await Promise.all(writers);
      const deliveries = await stage.take(lane, 4 * 60);
      for (let writer = 0; writer < 4; writer++) {
        const its = texts(deliveries).filter((text) => text.startsWith(`w${writer}:`));
        assert.deepEqual(its, numbered(`w${writer}:`, 60), `writer ${writer}`);
      }
      await stage.expectQuiet(lane);
      if (stage.fixture.traits.positions === 'lane') return;
      const told = results.map(positionOf).sort(ascending);
      assert.deepEqual(told, rising(told[0] ?? null, told.length), 'positions are gapless over all publishers');
    },
  },
  {
    name: 'publishers that write many partitions at once, in different orders, do not block each other',
    async run(stage) {
      const { consumer } = await stage.readyLane();
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        const { transport } = await stage.process();
        const publisher = await stage.publisher(transport);
        const order = writer % 2 === 0 ? stage.partitions : [...stage.partitions].reverse();
        for (let call = 0; call < 10; call++) {
          await store(
            publisher,
            order.map((partition) => stage.entry(partition, `w${writer}:${call}`)),
          );
        }
      });
      await Promise.all(writers);
      for (const partition of stage.partitions.slice(1)) {
        const lane = await stage.start(consumer, partition, null);
        const all = texts(await stage.take(lane, 40));
        for (let writer = 0; writer < 4; writer++) {
          const its = all.filter((text) => text.startsWith(`w${writer}:`));
          assert.deepEqual(its, numbered(`w${writer}:`, 10));
        }
      }
    },
  },
  {
    name: 'bytes come out as they went in: every value, none at all, and 256 KiB',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const bodies = [
        Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
        Buffer.alloc(0),
        Buffer.from('\u0000é€😀\\x00', 'utf8'),
        Buffer.alloc(256 * 1024, 'onelane'),
        Buffer.from([0xff, 0xfe, 0x00]),
      ];
      await store(
        publisher,
        bodies.map((body) => stage.rawEntry(partition, body, {})),
      );
      const deliveries = await stage.take(lane, bodies.length);
      deliveries.forEach((each, index) => {
        assert.ok(bodies[index]?.equals(Buffer.from(each.bytes)), `body ${index} came out changed`);
      });
    },
  },
  {
    name: 'headers come out as they went in: none, empty, long, quotes, line ends and all of Unicode',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const all = [
        {},
        { empty: '' },
        { 'x-text': 'naïve €uro 😀 日本語', 'x-quotes': `"'\\ {}[]`, 'x-lines': 'a\r\n\tb\u0000c' },
        { long: 'h'.repeat(10_000) },
        { empty: '' },
      ];
      await store(
        publisher,
        all.map((headers, index) => stage.rawEntry(partition, Buffer.from(`h${index}`), headers)),
      );
      const deliveries = await stage.take(lane, all.length);
      all.forEach((headers, index) => {
        for (const [name, value] of Object.entries(headers)) {
          assert.equal(deliveries[index]?.headers[name], value, `header ${name} of entry ${index}`);
        }
      });
      assert.equal(deliveries[1]?.headers['long'], undefined, 'headers stay with their entry');
    },
  },
  {
    name: 'the append time is now, and never goes back within a partition',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      for (const text of numbered('t', 10)) await store(publisher, [stage.entry(partition, text)]);
      const times = (await stage.take(lane, 10)).map((each) => each.appendedAt.getTime());
      assert.deepEqual(times, [...times].sort(ascending));
      for (const time of times) assert.ok(Math.abs(time - Date.now()) < 60_000, 'within a minute of now');
    },
  },
  {
    name: 'a call without entries stores nothing, one with thousands stores all of them',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      assert.deepEqual(await publisher.publish([]), []);
      const many = stage.entries(partition, 'n', 6_000);
      await store(publisher, many);
      assert.deepEqual(texts(await stage.take(lane, many.length)), numbered('n', 6_000));
    },
  },
  {
    name: 'an entry that is too large is refused for good; what stood before it is stored, what stood behind it is not',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const other = stage.at(1);
      const results = await publisher.publish([
        stage.entry(partition, 'before'),
        stage.rawEntry(partition, Buffer.alloc(8 * 1024 * 1024), {}),
        stage.entry(other, 'elsewhere'),
        stage.entry(partition, 'behind'),
      ]);
      assert.deepEqual(
        results.map((each) => each.kind),
        ['stored', 'refused', 'stored', 'refused'],
      );
      assert.equal(results[1]?.kind === 'refused' && results[1].retry, false, 'it will never be taken');
      assert.equal(results[3]?.kind === 'refused' && results[3].retry, true, 'it may be taken later');
      await store(publisher, [stage.entry(partition, 'later')]);
      assert.deepEqual(texts(await stage.take(lane, 2)), ['before', 'later']);
    },
  },
  {
    name: 'a partition that does not exist is refused, and hinders no other',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const nowhere = { ...stage.entry(partition, 'nowhere'), partition: stage.beyond };
      const results = await publisher.publish([nowhere, stage.entry(partition, 'here')]);
      assert.deepEqual(
        results.map((each) => each.kind),
        ['refused', 'stored'],
      );
      assert.deepEqual(texts(await stage.take(lane, 1)), ['here']);
    },
  },
];

function positionOf(result: PublishResult): Position | null {
  return result.kind === 'stored' ? result.position : null;
}

function rising(from: Position | null, count: number): readonly bigint[] {
  return Array.from({ length: count }, (_, index) => (from ?? 0n) + BigInt(index));
}

function ascending(a: bigint | number | null, b: bigint | number | null): number {
  return (a ?? 0) < (b ?? 0) ? -1 : (a ?? 0) > (b ?? 0) ? 1 : 0;
}

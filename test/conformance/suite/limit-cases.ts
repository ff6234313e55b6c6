// Owns the cases about bounds: of one call, of what is read ahead, and of waiting.
import assert from 'node:assert/strict';
import type { ConformanceCase } from './run-case.ts';
import { numbered, store, texts } from './stage.ts';
import { within } from './within.ts';

const MIB = 1024 * 1024;

export const limitCases: readonly ConformanceCase[] = [
  {
    name: 'next gives at most as many entries as were asked for, and at least one that is there',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'n', 40));
      const got: string[] = [];
      while (got.length < 40) {
        const batch = await lane.next({ count: 7, bytes: MIB, waitMs: stage.fixture.patienceMs });
        assert.ok(batch.length >= 1 && batch.length <= 7, `${batch.length} deliveries`);
        got.push(...texts(batch));
      }
      assert.deepEqual(got, numbered('n', 40));
    },
  },
  {
    name: 'next gives at most as many bytes as were asked for',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const sizes = [10, 400, 90, 500, 1, 999, 1, 1, 300, 700, 701];
      await store(
        publisher,
        sizes.map((size) => stage.rawEntry(partition, Buffer.alloc(size, 'x'), {})),
      );
      const got: number[] = [];
      while (got.length < sizes.length) {
        const batch = await lane.next({ count: 100, bytes: 1_000, waitMs: stage.fixture.patienceMs });
        const bytes = batch.reduce((sum, each) => sum + each.bytes.length, 0);
        assert.ok(batch.length >= 1 && bytes <= 1_000, `${bytes} bytes in ${batch.length} deliveries`);
        got.push(...batch.map((each) => each.bytes.length));
      }
      assert.deepEqual(got, sizes);
    },
  },
  {
    name: 'an entry that is larger than the limit of bytes is delivered alone',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const sizes = [5, 250 * 1024, 5, 250 * 1024, 250 * 1024, 5];
      await store(
        publisher,
        sizes.map((size) => stage.rawEntry(partition, Buffer.alloc(size, 'x'), {})),
      );
      const batches: number[][] = [];
      while (batches.flat().length < sizes.length) {
        const batch = await lane.next({ count: 100, bytes: 1_000, waitMs: stage.fixture.patienceMs });
        batches.push(batch.map((each) => each.bytes.length));
      }
      assert.deepEqual(batches.flat(), sizes);
      for (const batch of batches) assert.ok(batch.length === 1 || !batch.includes(250 * 1024));
    },
  },
  {
    name: 'next waits as long as it was told to when nothing comes, and not at all when told so',
    async run(stage) {
      const { lane } = await stage.readyLane();
      const before = performance.now();
      assert.deepEqual(await lane.next({ count: 1, bytes: MIB, waitMs: 300 }), []);
      // Timers may be a little early.
      assert.ok(performance.now() - before > 250, 'it waited');
      const none = lane.next({ count: 1, bytes: MIB, waitMs: 0 });
      assert.deepEqual(await within(stage.fixture.patienceMs / 2, 'next to return', () => none), []);
    },
  },
  {
    name: 'a lane that waits wakes when something is published, by its own process or by another',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      const other = await stage.publisher((await stage.process()).transport);
      for (const [index, writer] of [publisher, other, publisher, other].entries()) {
        await stage.expectQuiet(lane);
        // Ten times as long as it may take: who polls only at the end of it is found out.
        const waitMs = stage.fixture.patienceMs * 10;
        const waiting = lane.next({ count: 1, bytes: MIB, waitMs });
        await store(writer, [stage.entry(partition, `w${index}`)]);
        const woken = await within(stage.fixture.patienceMs, 'the lane to wake', () => waiting);
        assert.deepEqual(texts(woken), [`w${index}`]);
      }
    },
  },
  {
    name: 'many lanes read at once, each its own, whatever is published meanwhile',
    partitions: 12,
    async run(stage) {
      const { publisher, consumer, lane } = await stage.readyLane();
      const later = await stage.publisher((await stage.process()).transport);
      const readers = stage.partitions.map(async (partition) => {
        const own = partition === lane.partition ? lane : await stage.start(consumer, partition, null);
        return texts(await stage.take(own, 120));
      });
      for (let call = 0; call < 10; call++) {
        await store(
          call % 2 === 0 ? publisher : later,
          stage.partitions.flatMap((partition) =>
            numbered(`p${partition}:`, 12, call * 12).map((text) => stage.entry(partition, text)),
          ),
        );
      }
      for (const [partition, got] of (await Promise.all(readers)).entries()) {
        assert.deepEqual(got, numbered(`p${partition}:`, 120));
      }
    },
  },
  {
    name: 'a lane whose holder does not read stalls no other, even when all that may be read ahead is small',
    async run(stage) {
      const process = await stage.process({ inboxBytesMax: MIB });
      const publisher = await stage.publisher(process.transport);
      for (let call = 0; call < 8; call++) {
        await store(
          publisher,
          stage.partitions.flatMap((partition) =>
            numbered('f', 4, call * 4).map((text) =>
              stage.rawEntry(partition, Buffer.concat([Buffer.from(text), Buffer.alloc(60 * 1024, ' ')]), {}),
            ),
          ),
        );
      }
      const consumer = await stage.consumer(process.transport);
      for (const partition of stage.partitions.slice(1)) {
        const slow = await stage.start(consumer, partition, null);
        await slow.next({ count: 1, bytes: 1, waitMs: stage.fixture.patienceMs });
      }
      const lane = await stage.start(consumer, stage.at(0), null);
      const got = texts(await stage.take(lane, 32)).map((text) => text.trim());
      assert.deepEqual(got, numbered('f', 32));
    },
  },
  {
    name: 'what all lanes of a process have read ahead stays within its budget, and every lane gets everything',
    needs: ['inbox-bytes'],
    partitions: 6,
    async run(stage) {
      const budget = 3 * MIB;
      const process = await stage.process({ inboxBytesMax: budget });
      const publisher = await stage.publisher(process.transport);
      const body = Buffer.alloc(32 * 1024, 'b');
      for (let call = 0; call < 8; call++) {
        await store(
          publisher,
          stage.partitions.flatMap((partition) => Array.from({ length: 8 }, () => stage.rawEntry(partition, body, {}))),
        );
      }
      const consumer = await stage.consumer(process.transport);
      const lanes = await Promise.all(stage.partitions.map((partition) => stage.start(consumer, partition, null)));
      const left = new Map(lanes.map((lane) => [lane, 64]));
      while (left.size > 0) {
        for (const [lane, entries] of left) {
          const batch = await lane.next({ count: 3, bytes: MIB, waitMs: stage.fixture.patienceMs });
          assert.ok(batch.length > 0, 'something is there');
          assert.ok(process.inboxBytes() <= budget, `${process.inboxBytes()} bytes are held, ${budget} are allowed`);
          if (batch.length < entries) left.set(lane, entries - batch.length);
          else left.delete(lane);
        }
      }
      assert.equal(process.inboxBytes(), 0, 'what was handed out is not held any more');
    },
  },
];

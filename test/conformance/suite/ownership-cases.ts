// Owns the cases about whose a partition is: lanes yielded, lost, released and handed over.
import assert from 'node:assert/strict';
import type { Lane } from '../../../shared/transport/transport.ts';
import type { ConformanceCase } from './run-case.ts';
import { last, numbered, store, texts } from './stage.ts';
import { eventually, within } from './within.ts';

const MIB = 1024 * 1024;

export const ownershipCases: readonly ConformanceCase[] = [
  {
    name: 'a subscription yields exactly the lanes of the partitions leased to its process',
    needs: ['by-lease'],
    async run(stage) {
      const consumer = await stage.consumer((await stage.process()).transport, [stage.at(1), stage.at(3)]);
      await consumer.lane(stage.at(1));
      const third = await consumer.lane(stage.at(3));
      consumer.mine.set([stage.at(1), stage.at(2), stage.at(3)]);
      await consumer.lane(stage.at(2));
      assert.deepEqual(consumer.waiting, [], 'no partition is yielded twice, and no other');
      assert.equal(third.lost.aborted, false);
    },
  },
  {
    name: 'a partition that leaves the leases is lost: next returns nothing at once, though entries are there',
    needs: ['by-lease'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      const waiting = lane.next({ count: 5, bytes: MIB, waitMs: stage.fixture.patienceMs * 10 });
      const other = await consumer.lane(stage.at(1));
      consumer.mine.set([stage.at(1)]);
      assert.deepEqual(await within(stage.fixture.patienceMs, 'next to return', () => waiting), []);
      assert.ok(lane.lost.aborted);
      assert.equal(other.lost.aborted, false);
      await store(publisher, stage.entries(partition, 'x', 3));
      assert.deepEqual(await lane.next({ count: 5, bytes: MIB, waitMs: 50 }), []);
    },
  },
  {
    name: 'a lost lane hands out nothing of what it has read ahead',
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'x', 50));
      await stage.take(lane, 5);
      consumer.stop();
      await eventually(stage.fixture.patienceMs, 'the lane to be lost', () => lane.lost.aborted);
      assert.deepEqual(await lane.next({ count: 5, bytes: MIB, waitMs: stage.fixture.patienceMs }), []);
    },
  },
  {
    name: 'a lane that was released while it is still leased is yielded anew',
    needs: ['by-lease'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'y', 6));
      const applied = last(await stage.take(lane, 2));
      await lane.settle(applied.position, 1n);
      await lane.release();
      await lane.release();
      const again = await stage.start(consumer, partition, applied);
      assert.deepEqual(texts(await stage.take(again, 4)), numbered('y', 4, 2));
      assert.equal(consumer.waiting.filter((each) => each.partition === partition).length, 0, 'yielded once');
    },
  },
  {
    name: 'a partition that left and came back is yielded anew only after its lane was released',
    needs: ['by-lease'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'q', 3));
      consumer.mine.set([]);
      await eventually(stage.fixture.patienceMs, 'the lane to be lost', () => lane.lost.aborted);
      consumer.mine.set([partition]);
      await stage.expectQuiet(lane);
      assert.ok(lane.lost.aborted, 'lost stays lost');
      assert.ok(!consumer.waiting.some((each) => each.partition === partition), 'not while the old lane is out');
      await lane.release();
      const again = await stage.start(consumer, partition, null);
      assert.deepEqual(texts(await stage.take(again, 3)), numbered('q', 3));
    },
  },
  {
    name: 'when stopped, every lane is lost, none is yielded, and lanes() ends when all were released',
    async run(stage) {
      const { consumer, lane } = await stage.readyLane();
      const others = await Promise.all(stage.partitions.slice(1).map((partition) => consumer.lane(partition)));
      const all: readonly Lane[] = [lane, ...others];
      const state = { ended: false };
      void consumer.ended.then(() => (state.ended = true));
      consumer.stop();
      await eventually(stage.fixture.patienceMs, 'all lanes to be lost', () => all.every((each) => each.lost.aborted));
      for (const each of all.slice(1)) await each.release();
      assert.deepEqual(await lane.next({ count: 1, bytes: MIB, waitMs: stage.fixture.quietMs }), []);
      assert.equal(state.ended, false, 'lanes() ended before the last lane was released');
      await lane.release();
      await within(stage.fixture.patienceMs, 'lanes() to end', () => consumer.ended);
    },
  },
  {
    name: 'when the leases end, every lane is lost and none is yielded',
    needs: ['by-lease'],
    async run(stage) {
      const { consumer, lane, partition } = await stage.readyLane();
      consumer.mine.end();
      await eventually(stage.fixture.patienceMs, 'the lane to be lost', () => lane.lost.aborted);
      await lane.release();
      await stage.expectQuiet(lane).catch(() => undefined);
      assert.ok(!consumer.waiting.some((each) => each.partition === partition));
    },
  },
  {
    name: 'a partition handed from process to process, again and again, is read without loss, double or swap',
    async run(stage) {
      const { transport } = await stage.process();
      const publisher = await stage.publisher(transport);
      const partition = stage.at(1);
      await store(publisher, stage.entries(partition, 'h', 60));
      const got: string[] = [];
      let applied = null;
      for (let hand = 0; hand < 4; hand++) {
        const consumer = await stage.consumer((await stage.process()).transport);
        const lane = await stage.start(consumer, partition, applied);
        const batch = await stage.take(lane, 15);
        got.push(...texts(batch));
        applied = last(batch);
        await lane.settle(applied.position, BigInt(hand + 1));
        await consumer.close();
      }
      assert.deepEqual(got, numbered('h', 60));
    },
  },
  {
    name: 'a partition that moves to another process while it is read goes on there, exactly after what was applied',
    needs: ['by-lease'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      const other = await stage.consumer((await stage.process()).transport, []);
      await store(publisher, stage.entries(partition, 'm', 100));
      const applied = last(await stage.take(lane, 33));
      consumer.mine.set(stage.partitions.slice(1));
      other.mine.set([partition]);
      await eventually(stage.fixture.patienceMs, 'the lane to be lost', () => lane.lost.aborted);
      await lane.settle(applied.position, 1n);
      await lane.release();
      const next = await stage.start(other, partition, applied);
      assert.deepEqual(texts(await stage.take(next, 67)), numbered('m', 67, 33));
    },
  },
];

// Owns the cases about what lasts: provisioning, durability, redelivery, settling and the ends of the log.
import assert from 'node:assert/strict';
import type { ConformanceCase } from './run-case.ts';
import { last, numbered, store, texts } from './stage.ts';

export const durabilityCases: readonly ConformanceCase[] = [
  {
    name: 'the transport has the traits that its fixture declares',
    async run(stage) {
      const { transport } = await stage.bareProcess();
      assert.deepEqual(transport.traits, stage.fixture.traits);
    },
  },
  {
    name: 'provisioning twice changes nothing, and entries stay',
    async run(stage) {
      const { process, publisher, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'p', 3));
      await process.transport.provision(stage.partitions.length);
      const other = await stage.bareProcess();
      await other.transport.provision(stage.partitions.length);
      assert.deepEqual(texts(await stage.take(lane, 3)), numbered('p', 3));
    },
  },
  {
    name: 'processes that provision at once make one log',
    async run(stage) {
      const processes = await Promise.all([0, 1, 2].map(() => stage.bareProcess()));
      await Promise.all(processes.map(({ transport }) => transport.provision(stage.partitions.length)));
      for (const { transport } of processes) assert.equal((await transport.ends()).length, stage.partitions.length);
    },
  },
  {
    name: 'another number of partitions is refused',
    async run(stage) {
      const { transport } = await stage.process();
      await assert.rejects(transport.provision(stage.partitions.length + 1));
      await assert.rejects(transport.provision(stage.partitions.length - 1));
      assert.equal((await transport.ends()).length, stage.partitions.length);
    },
  },
  {
    name: 'what was stored is there for a process that comes later',
    async run(stage) {
      const writer = await stage.log.openProcess();
      await writer.transport.provision(stage.partitions.length);
      const publisher = await writer.transport.openPublisher();
      await store(publisher, stage.entries(stage.at(1), 'kept', 50));
      await publisher.close();
      await writer.transport.close();
      await writer.close();
      const reader = await stage.process();
      const lane = await stage.start(await stage.consumer(reader.transport), stage.at(1), null);
      assert.deepEqual(texts(await stage.take(lane, 50)), numbered('kept', 50));
    },
  },
  {
    name: 'what was delivered and not settled is delivered again to the next lane',
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'r', 30));
      await stage.take(lane, 20);
      await lane.release();
      const again = await stage.start(consumer, partition, null);
      assert.deepEqual(texts(await stage.take(again, 30)), numbered('r', 30));
    },
  },
  {
    name: 'the next lane gets everything after what was settled, and at most what was not settled before it',
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 's', 30));
      const first = await stage.take(lane, 20);
      const applied = last(first.slice(0, 13));
      await lane.settle(applied.position, 1n);
      await lane.release();
      const again = await stage.start(consumer, partition, applied);
      assert.deepEqual(texts(await stage.take(again, 17)), numbered('s', 17, 13));
      await stage.expectQuiet(again);
    },
  },
  {
    name: 'settling late, twice, backwards or after the lane was lost disturbs nothing',
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'i', 12));
      const deliveries = await stage.take(lane, 9);
      for (const index of [4, 4, 2, 8, 6, 8]) await lane.settle(last(deliveries.slice(0, index + 1)).position, 1n);
      assert.deepEqual(texts(await stage.take(lane, 1)), ['i9']);
      consumer.stop();
      assert.ok(lane.lost.aborted);
      await lane.settle(last(deliveries).position, 1n);
      await lane.release();
      const next = await stage.consumer((await stage.process()).transport);
      const again = await stage.start(next, partition, last(deliveries));
      assert.deepEqual(texts(await stage.take(again, 3)), numbered('i', 3, 9));
    },
  },
  {
    name: 'a lane may start before what was settled: the database decides, settling is a hint',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'b', 20));
      const deliveries = await stage.take(lane, 20);
      await lane.settle(last(deliveries).position, 2n);
      await lane.release();
      const again = await stage.start(consumer, partition, last(deliveries.slice(0, 5)));
      assert.deepEqual(texts(await stage.take(again, 15)), numbered('b', 15, 5));
    },
  },
  {
    name: 'the ends say which position comes next in each partition, or how much waits',
    async run(stage) {
      const { process, publisher, lane, partition } = await stage.readyLane();
      await store(publisher, [...stage.entries(partition, 'e', 7), ...stage.entries(stage.at(2), 'e', 2)]);
      const deliveries = await stage.take(lane, 7);
      const ends = await process.transport.ends();
      assert.deepEqual(
        ends.map((end) => end.partition),
        [...stage.partitions],
      );
      if (stage.fixture.traits.positions === 'stored') {
        assert.equal(ends[partition]?.next, last(deliveries).position + 1n);
        await store(publisher, [stage.entry(partition, 'one more')]);
        assert.equal((await process.transport.ends())[partition]?.next, last(deliveries).position + 2n);
      }
      for (const [index, waiting] of [7, 0, 2, 0].entries()) {
        const said = ends[index]?.waiting ?? null;
        if (said !== null) assert.equal(said, waiting, `partition ${index}`);
        else assert.notEqual(ends[index]?.next ?? null, null, 'one of the two is known');
      }
    },
  },
];

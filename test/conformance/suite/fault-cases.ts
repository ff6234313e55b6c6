// Owns the cases about brokers that are away, answers that get lost, and closing.
import assert from 'node:assert/strict';
import type { Lane, Publisher, PublishResult, Routed, Transport } from '../../../shared/transport/transport.ts';
import type { ConformanceCase } from './run-case.ts';
import { numbered, store, texts, type Stage } from './stage.ts';
import { eventually, within } from './within.ts';

const MIB = 1024 * 1024;

export const faultCases: readonly ConformanceCase[] = [
  {
    name: 'while the log is away, publishing answers the truth and stores nothing; then the same publisher works again',
    needs: ['away'],
    async run(stage) {
      const { process, publisher, lane, partition } = await stage.readyLane();
      await store(publisher, [stage.entry(partition, 'before')]);
      await process.cut();
      const results = await within(stage.fixture.patienceMs, 'publish to answer', () =>
        publisher.publish(stage.entries(partition, 'lost', 3)),
      );
      assert.equal(results.length, 3);
      for (const result of results) assert.ok(mayTryAgain(result), JSON.stringify(result));
      await process.restore();
      await untilStored(stage, publisher, [stage.entry(partition, 'after')]);
      await untilRead(stage, lane, ['before', 'after']);
    },
  },
  {
    name: 'while the log is away a lane says so, and goes on exactly where it was when the log is back',
    needs: ['away'],
    async run(stage) {
      const { process, publisher, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'a', 10));
      const got = [...texts(await stage.take(lane, 4))];
      await process.cut();
      await eventually(stage.fixture.patienceMs, 'next to reject', async () => {
        try {
          // What was read ahead may still come.
          got.push(...texts(await lane.next({ count: 1, bytes: MIB, waitMs: 20 })));
          return false;
        } catch {
          return true;
        }
      });
      await process.restore();
      await untilRead(stage, lane, numbered('a', 10).slice(got.length));
      assert.deepEqual(got, numbered('a', got.length));
      await stage.expectQuiet(lane);
      await store(await stage.publisher((await stage.process()).transport), [stage.entry(partition, 'fresh')]);
      await untilRead(stage, lane, ['fresh']);
    },
  },
  {
    name: 'what is published elsewhere while a waiting lane cannot reach the log comes when it can',
    needs: ['away'],
    async run(stage) {
      const { process, lane, partition } = await stage.readyLane();
      const elsewhere = await stage.publisher((await stage.process()).transport);
      await stage.expectQuiet(lane);
      await process.cut();
      await lane.next({ count: 1, bytes: MIB, waitMs: 20 }).catch(() => undefined);
      const published = await elsewhere.publish([stage.entry(partition, 'meanwhile')]);
      await process.restore();
      if (published[0]?.kind !== 'stored') await untilStored(stage, elsewhere, [stage.entry(partition, 'meanwhile')]);
      await untilRead(stage, lane, ['meanwhile']);
    },
  },
  {
    name: 'while the log is away nothing can be opened or provisioned, and everything can when it is back',
    needs: ['away'],
    async run(stage) {
      const process = await stage.process();
      await process.cut();
      const { transport } = process;
      for (const work of [
        (): Promise<unknown> => transport.openPublisher(),
        () => transport.ends(),
        () => transport.provision(stage.partitions.length),
      ]) {
        await assert.rejects(within(stage.fixture.patienceMs, 'an answer', work));
      }
      await process.restore();
      await within(stage.fixture.patienceMs, 'the ends', () => transport.ends());
      await store(await stage.publisher(transport), [stage.entry(stage.at(0), 'x')]);
    },
  },
  {
    name: 'an answer that gets lost is unknown, and the same entries can be published again by the same publisher',
    needs: ['lost-answers'],
    async run(stage) {
      const { process, publisher, lane, partition } = await stage.readyLane();
      await store(publisher, [stage.entry(partition, 'first')]);
      const witness = await stage.process();
      const waitingBefore = await amount(witness.transport, partition);
      await process.loseAnswers();
      const batch = stage.entries(partition, 'u', 5);
      const answer = publisher.publish(batch);
      await eventually(stage.fixture.patienceMs, 'the entries to arrive', async () => {
        return (await amount(witness.transport, partition)) === waitingBefore + 5;
      });
      await process.restore();
      const results = await within(stage.fixture.patienceMs, 'publish to answer', () => answer);
      assert.deepEqual(
        results.map((each) => each.kind),
        batch.map(() => 'unknown'),
      );
      await untilStored(stage, publisher, batch);
      await untilStored(stage, publisher, [stage.entry(partition, 'later')]);
      await untilRead(stage, lane, ['first', ...numbered('u', 5), ...numbered('u', 5), 'later']);
    },
  },
  {
    name: 'closing returns a waiting lane, ends everything, and may be done twice',
    async run(stage) {
      const { process, publisher, consumer, lane } = await stage.readyLane();
      const waiting = lane.next({ count: 1, bytes: MIB, waitMs: stage.fixture.patienceMs * 10 });
      const closed = consumer.close();
      assert.deepEqual(await within(stage.fixture.patienceMs, 'next to return', () => waiting), []);
      await closed;
      await consumer.subscription.close();
      await publisher.close();
      await publisher.close();
      const [late] = await publisher.publish([stage.entry(stage.at(0), 'late')]);
      assert.notEqual(late?.kind, 'stored', 'a closed publisher stores nothing');
      await process.transport.close();
      await process.transport.close();
    },
  },
  {
    name: 'closing waits for what is on its way',
    async run(stage) {
      const { process, publisher, partition } = await stage.readyLane();
      const calls = [0, 1, 2].map((call) => publisher.publish([stage.entry(stage.at(call), `c${call}`)]));
      await publisher.close();
      const results = (await Promise.all(calls)).flat();
      for (const result of results) assert.equal(result.kind, 'stored');
      assert.equal((await process.transport.ends())[partition]?.partition, partition);
    },
  },
  {
    name: 'closing leaves no connection behind',
    needs: ['connections'],
    async run(stage) {
      const process = await stage.bareProcess();
      await process.transport.provision(stage.partitions.length);
      const publisher = await process.transport.openPublisher();
      await store(
        publisher,
        stage.partitions.map((each) => stage.entry(each, 'x')),
      );
      const consumer = await stage.consumer(process.transport);
      for (const partition of stage.partitions) {
        const lane = await stage.start(consumer, partition, null);
        assert.deepEqual(texts(await stage.take(lane, 1)), ['x']);
      }
      assert.ok(process.connections() > 0);
      await consumer.close();
      await publisher.close();
      await process.transport.close();
      await process.close();
      await eventually(stage.fixture.patienceMs, 'no connection', () => process.connections() === 0);
    },
  },
];

function mayTryAgain(result: PublishResult): boolean {
  return result.kind === 'unknown' || (result.kind === 'refused' && result.retry);
}

/** As the caller above the seam does: the same entries again until they are stored. */
async function untilStored(stage: Stage, publisher: Publisher, batch: readonly Routed[]): Promise<void> {
  await eventually(stage.fixture.patienceMs, 'the entries to be stored', async () => {
    const results = await publisher.publish(batch);
    for (const result of results) assert.ok(result.kind === 'stored' || mayTryAgain(result), result.kind);
    return results.every((result) => result.kind === 'stored');
  });
}

/** As the lane's holder does: a read that rejects is tried again. Exactly these, in this order. */
async function untilRead(stage: Stage, lane: Lane, expected: readonly string[]): Promise<void> {
  const got: string[] = [];
  await eventually(stage.fixture.patienceMs, `${expected.length} entries`, async () => {
    assert.equal(lane.lost.aborted, false, 'an outage alone does not take a lane away');
    const rest = expected.length - got.length;
    const batch = await lane.next({ count: rest, bytes: MIB, waitMs: 50 }).catch(() => []);
    got.push(...texts(batch));
    return got.length >= expected.length;
  });
  assert.deepEqual(got, expected);
}

async function amount(transport: Transport, partition: number): Promise<number> {
  const end = (await transport.ends())[partition];
  return Number(end?.next ?? end?.waiting ?? 0);
}

// Owns the cases about where a lane begins, and about logs that are not the one the database knows.
import assert from 'node:assert/strict';
import { entryHash, HEADER } from '../../../shared/command/entry.ts';
import { newUuid, position } from '../../../shared/command/identity.ts';
import { LogDiverged } from '../../../shared/transport/log-diverged.ts';
import type { ConformanceCase } from './run-case.ts';
import { last, numbered, store, texts, type Stage } from './stage.ts';
import { A_BATCH, take } from './consumer.ts';

export const resumeCases: readonly ConformanceCase[] = [
  {
    name: 'an empty partition waits, and delivers what comes',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      await stage.expectQuiet(lane);
      await store(publisher, stage.entries(partition, 'c', 2));
      assert.deepEqual(texts(await stage.take(lane, 2)), numbered('c', 2));
    },
  },
  {
    name: 'a lane goes on exactly after the last applied entry, wherever in a published batch that stood',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      for (const prefix of ['a', 'b', 'c']) await store(publisher, stage.entries(partition, prefix, 4));
      const all = await stage.take(lane, 12);
      await lane.release();
      for (let applied = 0; applied < 12; applied++) {
        const next = await stage.start(consumer, partition, last(all.slice(0, applied + 1)));
        assert.deepEqual(texts(await stage.take(next, 11 - applied)), texts(all.slice(applied + 1)));
        await next.release();
      }
    },
  },
  {
    name: 'a lane whose last applied entry is the last of the log waits for the next one',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'z', 3));
      const all = await stage.take(lane, 3);
      await lane.release();
      const next = await stage.start(consumer, partition, last(all));
      await stage.expectQuiet(next);
      await store(publisher, [stage.entry(partition, 'new')]);
      assert.deepEqual(texts(await stage.take(next, 1)), ['new']);
    },
  },
  {
    name: 'a last applied entry that is another one in the log halts the lane',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'd', 10));
      const all = await stage.take(lane, 10);
      await lane.release();
      const known = last(all.slice(0, 5));
      const others = [
        entryHash({ headers: known.headers, bytes: Buffer.from('D4') }),
        entryHash({ headers: { ...known.headers, more: 'x' }, bytes: known.bytes }),
      ];
      for (const hash of others) {
        const next = await consumer.lane(partition);
        const at = { ...stage.resumeAfter(known), last: { position: known.position, hash } };
        await stage.expectDiverged(next, at);
        await next.release();
      }
    },
  },
  {
    name: 'a log that ends before the position halts the lane',
    needs: ['stored-positions'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'd', 3));
      const known = last(await stage.take(lane, 3));
      await lane.release();
      const next = await consumer.lane(partition);
      const beyond = position(known.position + 5n);
      await stage.expectDiverged(next, {
        next: position(beyond + 1n),
        last: { position: beyond, hash: entryHash(known) },
        commits: 9n,
      });
    },
  },
  {
    name: 'a log made again halts the lane: empty, shorter than the position, or longer',
    needs: ['stored-positions', 'recreate'],
    async run(stage) {
      for (const entries of [0, 2, 5, 20]) {
        const { publisher, consumer, lane, partition } = await stage.readyLane();
        await store(publisher, stage.entries(partition, 'old', 5));
        const at = stage.resumeAfter(last(await stage.take(lane, 5)));
        await consumer.close();
        await stage.log.recreate();
        const anew = await stage.publisher((await stage.process()).transport);
        await store(anew, stage.entries(partition, 'new', entries));
        const successor = await stage.consumer((await stage.process()).transport);
        await stage.expectDiverged(await successor.lane(partition), at);
        // Where the broker shares partitions out, one who stays would keep them from the next.
        await successor.close();
        await stage.log.recreate();
      }
    },
  },
  {
    name: 'a log made again under a running lane is never taken for the old one',
    needs: ['stored-positions', 'recreate-live'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      await store(publisher, stage.entries(partition, 'old', 5));
      const applied = last(await stage.take(lane, 5));
      await stage.log.recreate();
      const anew = await stage.publisher((await stage.process()).transport);
      await store(anew, stage.entries(partition, 'new', 10));
      await assert.rejects(
        async () => {
          const { patienceMs } = stage.fixture;
          // In one call: while the log is being made anew, a shorter one may end with a broker that cannot say yet.
          const stray = await take(lane, 1, patienceMs, { ...A_BATCH, waitMs: patienceMs });
          assert.fail(`delivered ${texts(stray).join()} of another log`);
        },
        (error) => error instanceof LogDiverged || lane.lost.aborted,
      );
      await lane.release();
      await stage.expectDiverged(await consumer.lane(partition), stage.resumeAfter(applied));
    },
  },
  {
    name: 'when retention took the last applied entry and no more, the lane goes on one past it',
    needs: ['stored-positions', 'truncate'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      const { applied } = await truncated(stage, { publisher, lane, applied: 6, gone: 6 });
      const next = await stage.start(consumer, partition, applied);
      assert.deepEqual(texts(await stage.take(next, 4)), numbered('t', 4, 6));
    },
  },
  {
    name: 'when retention took all, and all was applied, the lane waits for what comes',
    needs: ['stored-positions', 'truncate'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      const { applied } = await truncated(stage, { publisher, lane, applied: 10, gone: 10 });
      const next = await stage.start(consumer, partition, applied);
      await stage.expectQuiet(next);
      await store(publisher, [stage.entry(partition, 'after')]);
      assert.deepEqual(texts(await stage.take(next, 1)), ['after']);
    },
  },
  {
    name: 'when retention took entries that were never applied, the lane halts',
    needs: ['stored-positions', 'truncate'],
    async run(stage) {
      const { publisher, consumer, lane, partition } = await stage.readyLane();
      const { applied } = await truncated(stage, { publisher, lane, applied: 6, gone: 7 });
      await stage.expectDiverged(await consumer.lane(partition), stage.resumeAfter(applied));
    },
  },
  {
    name: 'an entry of another system halts the lane, after those that stand before it; an entry of no system does not',
    async run(stage) {
      const { publisher, lane, partition } = await stage.readyLane();
      await store(publisher, [
        stage.entry(partition, 'ours'),
        stage.rawEntry(partition, Buffer.from('a stranger'), { 'content-type': 'application/cloudevents+json' }),
        stage.entry(partition, 'theirs', { [HEADER.system]: newUuid() }),
        stage.entry(partition, 'behind'),
      ]);
      assert.deepEqual(texts(await stage.take(lane, 2)), ['ours', 'a stranger']);
      await assert.rejects(take(lane, 1, stage.fixture.patienceMs), LogDiverged);
      await assert.rejects(take(lane, 1, stage.fixture.patienceMs), LogDiverged, 'and it stays so');
    },
  },
];

/** Ten entries `t0` …, of which some were applied and some are gone. The lane is released. */
async function truncated(
  stage: Stage,
  given: Pick<Awaited<ReturnType<Stage['readyLane']>>, 'publisher' | 'lane'> & {
    readonly applied: number;
    readonly gone: number;
  },
) {
  const { partition } = given.lane;
  // One by one, so that any of them can be the first that is kept.
  for (const entry of stage.entries(partition, 't', 10)) await store(given.publisher, [entry]);
  const all = await stage.take(given.lane, 10);
  await given.lane.release();
  await stage.log.truncate(partition, position(last(all.slice(0, given.gone)).position + 1n));
  return { applied: last(all.slice(0, given.applied)) };
}

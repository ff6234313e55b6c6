// Owns the proof of what is the postgres transport's own: forgetting, going back in time, and telling what happened to connections.
import pg from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { entryHash, HEADER, type Delivery } from '../../../shared/command/entry.ts';
import { newCommandId, newUuid, partition, position, trustedKey } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { LogDiverged } from '../../../shared/transport/log-diverged.ts';
import { postgresTransport } from '../../../shared/transport/postgres/index.ts';
import type { Resume, Routed } from '../../../shared/transport/transport.ts';
import { Consumer, Mine, take } from '../../conformance/suite/consumer.ts';
import { eventually, within } from '../../conformance/suite/within.ts';
import { freshDatabase } from '../../support/database.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const PATIENCE_MS = 20_000;
const ZERO = partition(0);
const FROM_THE_FIRST: Resume = { next: null, last: null, commits: 0n };

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A log of one partition, read through a gate and written beside it. */
async function bundle(logRetentionMs: number) {
  const beside = await freshDatabase({ partitions: 1, transport: 'postgres' });
  const gate = await openTcpGate(beside.url);
  const events: OnelaneEvent[] = [];
  const observe = (event: OnelaneEvent) => void events.push(event);
  const database = await openDatabase({ url: gate.url, schema: beside.schema, poolMax: 2, observe });
  const given = {
    systemId: beside.system.id,
    logRetentionMs,
    inboxBytesMax: 1024 * 1024,
    observe,
    clock: systemClock,
  };
  const transport = postgresTransport({ ...given, database });
  await transport.provision(1);
  const writer = await postgresTransport({ ...given, database: beside.database }).openPublisher();
  const publisher = await transport.openPublisher();
  const consumer = await Consumer.open(transport, new Mine([ZERO]), PATIENCE_MS);
  closing.push(
    () => beside.close(),
    () => gate.close(),
    () => closeDatabase(database),
    () => writer.close(),
    () => publisher.close(),
    () => consumer.close(),
  );
  const schema = quoted(beside.schema);
  const entry = (text: string): Routed => {
    const key = trustedKey('t/1');
    return { partition: ZERO, key, id: newCommandId(), headers: {}, bytes: Buffer.from(text) };
  };
  return {
    gate,
    events,
    consumer,
    /** Through the gate. */
    publisher,
    writer,
    entry,
    /** Published one by one: each is a segment. */
    async publish(...texts: readonly string[]) {
      for (const text of texts) {
        const [result] = await writer.publish([entry(text)]);
        expect(result?.kind).toBe('stored');
      }
    },
    sql: (text: string, values: readonly unknown[] = []) =>
      beside.database.pool.query(text.replaceAll('{schema}', schema), [...values]),
    kinds: () => events.map((event) => event.kind),
    async start(at: Resume) {
      const lane = await consumer.lane(ZERO);
      await lane.start(at);
      return lane;
    },
  };
}

type Bundle = Awaited<ReturnType<typeof bundle>>;

const texts = (deliveries: readonly Delivery[]) => deliveries.map((each) => Buffer.from(each.bytes).toString());

async function keptPositions(log: Bundle): Promise<readonly number[]> {
  const { rows } = await log.sql('select last_position from {schema}.log_segment order by last_position');
  return rows.map((row: { last_position: string }) => Number(row.last_position));
}

/** What a lane's commit writes. */
async function apply(log: Bundle, delivery: Delivery | undefined): Promise<Delivery> {
  if (delivery === undefined) throw new Error('nothing was delivered');
  await log.sql(`update {schema}.tenure set last_position = $1, last_hash = '\\x00' where partition = 0`, [
    delivery.position,
  ]);
  return delivery;
}

describe('the log forgets', () => {
  test('what is settled and past its retention, but never the last applied entry', async () => {
    const log = await bundle(0);
    await log.publish('a', 'b', 'c', 'd', 'e', 'f');
    const lane = await log.start(FROM_THE_FIRST);
    const applied = await apply(log, (await take(lane, 4, PATIENCE_MS)).at(-1));
    await lane.settle(applied.position, 1n);
    await eventually(PATIENCE_MS, 'the log to be pruned', () => log.kinds().includes('log-pruned'));
    expect(await keptPositions(log)).toEqual([3, 4, 5]);
    await lane.release();
    const at = { position: applied.position, hash: entryHash(applied) };
    const again = await log.start({ next: position(4), last: at, commits: 1n });
    expect(texts(await take(again, 2, PATIENCE_MS))).toEqual(['e', 'f']);
  });

  test('nothing that this database does not call applied, whatever a lane settles', async () => {
    const log = await bundle(0);
    await log.publish('a', 'b', 'c', 'd', 'e');
    const lane = await log.start(FROM_THE_FIRST);
    const deliveries = await take(lane, 5, PATIENCE_MS);
    await apply(log, deliveries[2]);
    await lane.settle(position(4), 1n);
    await eventually(PATIENCE_MS, 'the log to be pruned', () => log.kinds().includes('log-pruned'));
    expect(await keptPositions(log)).toEqual([2, 3, 4]);
  });

  test('nothing that is younger than its retention', async () => {
    const log = await bundle(10_000);
    await log.publish('old', 'older', 'young', 'last');
    await log.sql(`
update {schema}.log_segment set appended_at = appended_at - interval '11 seconds' where last_position <= 1`);
    const lane = await log.start(FROM_THE_FIRST);
    const applied = await apply(log, (await take(lane, 4, PATIENCE_MS)).at(-1));
    await lane.settle(applied.position, 1n);
    await eventually(PATIENCE_MS, 'the log to be pruned', () => log.kinds().includes('log-pruned'));
    expect(await keptPositions(log)).toEqual([2, 3]);
  });

  test('a long log in steps', async () => {
    const log = await bundle(0);
    await log.sql(`
insert into {schema}.log_segment (partition, last_position, entries, appended_at, size, frames)
select 0, at, 1, now(), 1, '\\x00'
from generate_series(0, 1233) as at`);
    await log.sql('update {schema}.log_head set next_position = 1234');
    await log.publish('the last');
    const lane = await log.start({ next: position(1234), last: null, commits: 0n });
    const applied = await apply(log, (await take(lane, 1, PATIENCE_MS))[0]);
    await lane.settle(applied.position, 1n);
    await eventually(PATIENCE_MS, 'the log to be pruned', () => log.kinds().includes('log-pruned'));
    expect(await keptPositions(log)).toEqual([1234]);
    expect(log.events).toContainEqual({ kind: 'log-pruned', partition: 0, entries: 1234 });
  });
});

describe('what this process appends', () => {
  /** How often its lanes read a page of the log, from now on. */
  function pageReads(): () => number {
    const query = vi.spyOn(pg.Client.prototype, 'query');
    closing.push(() => Promise.resolve(query.mockRestore()));
    return () => query.mock.calls.filter(([sent]) => 'name' in Object(sent) && Object(sent).name === 'page').length;
  }

  async function waiting(log: Bundle) {
    await log.publish('a0');
    const lane = await log.start(FROM_THE_FIRST);
    await take(lane, 1, PATIENCE_MS);
    expect(await lane.next({ count: 1, bytes: 1, waitMs: 50 })).toEqual([]);
    return lane;
  }

  test('reaches its own lane without being read back, in order, as a reader would get it', async () => {
    const log = await bundle(86_400_000);
    const lane = await waiting(log);
    const reads = pageReads();
    await log.publisher.publish([log.entry('a1'), log.entry('a2')]);
    await log.publisher.publish([log.entry('a3')]);
    const got = await take(lane, 3, PATIENCE_MS);
    expect(texts(got)).toEqual(['a1', 'a2', 'a3']);
    expect(reads(), 'pages read').toBe(0);
    await lane.release();
    const again = await log.start({ next: position(1), last: null, commits: 0n });
    expect(await take(again, 3, PATIENCE_MS), 'the same, read').toEqual(got);
  });

  test('is read behind what others appended meanwhile', async () => {
    const log = await bundle(86_400_000);
    const lane = await waiting(log);
    await Promise.all([log.publish('b', 'b'), log.publisher.publish([log.entry('a')])]);
    await log.publisher.publish([log.entry('a')]);
    await log.publish('b');
    const got = await take(lane, 5, PATIENCE_MS);
    expect(got.map((each) => Number(each.position))).toEqual([1, 2, 3, 4, 5]);
    expect(texts(got).sort()).toEqual(['a', 'a', 'b', 'b', 'b']);
  });

  test('never follows an entry of another system, though it stands right behind it', async () => {
    const log = await bundle(86_400_000);
    const lane = await waiting(log);
    await log.writer.publish([{ ...log.entry('foreign'), headers: { [HEADER.system]: newUuid() } }]);
    // Time for the lane to read it by itself.
    await systemClock.sleep(700);
    await log.publisher.publish([log.entry('a2')]);
    await expect(lane.next({ count: 9, bytes: 1_000, waitMs: PATIENCE_MS })).rejects.toThrow(LogDiverged);
  });

  test('never follows an entry that the log has no more, though it has the position after it', async () => {
    const log = await bundle(86_400_000);
    const lane = await waiting(log);
    // Another past of the same length, which nobody was told of.
    await log.sql(`update {schema}.log_segment set appended_at = appended_at - interval '1 minute'`);
    await log.sql(`update {schema}.log_head set appended_at = appended_at - interval '1 minute'`);
    await log.publisher.publish([log.entry('b1')]);
    await eventually(PATIENCE_MS, 'the lane to be lost', async () => {
      expect(texts(await lane.next({ count: 9, bytes: 1_000, waitMs: 20 }).catch(() => []))).toEqual([]);
      return lane.lost.aborted;
    });
  });
});

describe('a database that went back in time', () => {
  /** The last entries were never written, as far as this server knows; others take their places. */
  async function goBack(log: Bundle, to: number, ...others: readonly string[]) {
    await log.sql('delete from {schema}.log_segment where last_position >= $1', [to]);
    await log.sql('update {schema}.log_head set next_position = $1', [to]);
    log.gate.cut();
    await log.publish(...others);
  }

  test('takes with it what was read ahead: what the log has now is delivered instead', async () => {
    const log = await bundle(86_400_000);
    await log.publish('a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7');
    const lane = await log.start(FROM_THE_FIRST);
    expect(texts(await lane.next({ count: 3, bytes: 1_000, waitMs: PATIENCE_MS }))).toEqual(['a0', 'a1', 'a2']);
    await goBack(log, 4, 'b4', 'b5', 'b6', 'b7', 'b8', 'b9');
    const got: string[] = [];
    await eventually(PATIENCE_MS, 'seven entries', async () => {
      got.push(...texts(await lane.next({ count: 10, bytes: 1_000, waitMs: 50 }).catch(() => [])));
      return got.length >= 7;
    });
    expect(got).toEqual(['a3', 'b4', 'b5', 'b6', 'b7', 'b8', 'b9']);
  });

  test('and with what was delivered but not applied, is read anew from the last applied entry', async () => {
    const log = await bundle(86_400_000);
    await log.publish('a0', 'a1', 'a2', 'a3', 'a4', 'a5');
    const lane = await log.start(FROM_THE_FIRST);
    const delivered = await lane.next({ count: 5, bytes: 1_000, waitMs: PATIENCE_MS });
    expect(delivered.length).toBe(5);
    await goBack(log, 3, 'b3', 'b4', 'b5', 'b6');
    await eventually(PATIENCE_MS, 'the lane to be lost', async () => {
      const batch = await lane.next({ count: 10, bytes: 1_000, waitMs: 50 }).catch(() => []);
      expect(texts(batch), 'nothing more of this timeline').toEqual([]);
      return lane.lost.aborted;
    });
    expect(log.kinds()).toContain('log-torn');
    await lane.release();
    const applied = delivered[1];
    if (applied === undefined) throw new Error('five were delivered');
    const at = { position: applied.position, hash: entryHash(applied) };
    const again = await log.start({ next: position(2), last: at, commits: 1n });
    expect(texts(await take(again, 5, PATIENCE_MS))).toEqual(['a2', 'b3', 'b4', 'b5', 'b6']);
  });

  test('is noticed by a lane that waits at the end of its log', async () => {
    const log = await bundle(86_400_000);
    await log.publish('a0', 'a1', 'a2', 'a3');
    const lane = await log.start(FROM_THE_FIRST);
    await take(lane, 4, PATIENCE_MS);
    expect(await lane.next({ count: 1, bytes: 1, waitMs: 50 })).toEqual([]);
    await goBack(log, 2, 'b2', 'b3');
    await eventually(PATIENCE_MS, 'the lane to be lost', async () => {
      expect(texts(await lane.next({ count: 9, bytes: 1_000, waitMs: 20 }).catch(() => []))).toEqual([]);
      return lane.lost.aborted;
    });
  });
});

test('closing does not wait for a network that is dead', async () => {
  const log = await bundle(86_400_000);
  await log.publish('a');
  const lane = await log.start(FROM_THE_FIRST);
  await take(lane, 1, PATIENCE_MS);
  await log.publisher.publish([log.entry('b')]);
  await take(lane, 1, PATIENCE_MS);
  log.gate.freeze();
  const late = log.publisher.publish([log.entry('c')]);
  const waiting = lane.next({ count: 1, bytes: 1, waitMs: PATIENCE_MS });
  const from = performance.now();
  await within(15_000, 'everything to close', () => Promise.all([log.publisher.close(), log.consumer.close()]));
  expect(performance.now() - from).toBeLessThan(9_000);
  expect((await late).map((each) => each.kind)).toEqual(['unknown']);
  expect(await waiting).toEqual([]);
  log.gate.thaw();
});

test('a lost connection is told once, and its return once', async () => {
  const log = await bundle(86_400_000);
  await log.publish('a');
  const lane = await log.start(FROM_THE_FIRST);
  await take(lane, 1, PATIENCE_MS);
  log.gate.refuse();
  for (let attempt = 0; attempt < 3; attempt++) {
    await eventually(PATIENCE_MS, 'next to reject', () =>
      lane.next({ count: 1, bytes: 1, waitMs: 20 }).then(
        () => false,
        () => true,
      ),
    );
  }
  log.gate.admit();
  await log.publish('b').catch(() => undefined);
  await eventually(PATIENCE_MS, 'the readers to be back', async () => {
    await lane.next({ count: 1, bytes: 1, waitMs: 20 }).catch(() => undefined);
    return log.events.some((event) => event.kind === 'connection-restored' && event.what === 'log readers');
  });
  const told = log.events.filter((event) => 'what' in event && event.what === 'log readers');
  expect(told.map((event) => event.kind)).toEqual(['connection-lost', 'connection-restored']);
});

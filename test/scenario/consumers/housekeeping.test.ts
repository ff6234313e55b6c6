// Proves that the ledger forgets what is past its retention and not a moment earlier, on a real server.
import { afterEach, expect, test } from 'vitest';
import { housekeeping } from '../../../consumers/housekeeping.ts';
import { partition, position } from '../../../shared/command/identity.ts';
import { ensureLedgerPartitions, readLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import type { PartitionEnd } from '../../../shared/transport/transport.ts';
import { freshDatabase } from '../../support/database.ts';

const HOUR = 3_600_000;
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function bundle(ends: (() => Promise<readonly PartitionEnd[]>) | number) {
  const { database, schema: name, close } = await freshDatabase({ partitions: 1 });
  closing.push(close);
  const schema = quoted(name);
  const events: OnelaneEvent[] = [];
  let heard = () => {};
  const askEnds = typeof ends === 'number' ? () => Promise.resolve([endAt(ends)]) : ends;
  /** One sweep from its beginning to its end: the second call for ends is the second sweep. */
  const sweep = async () => {
    let asked = 0;
    const twice = new Promise<void>((resolve) => (heard = resolve));
    const service = housekeeping({
      database,
      transport: {
        ends: () => {
          if (++asked === 2) heard();
          return askEnds();
        },
      },
      ledgerRetentionMs: HOUR,
      everyMs: 1,
      observe: (event) => events.push(event),
      clock: systemClock,
      random: Math.random,
    });
    await service.start();
    await twice;
    await service.stop(5_000);
    await service.stop(5_000);
  };
  const row = async (hoursAgo: number) => {
    const at = new Date(Date.now() - hoursAgo * HOUR);
    await ensureLedgerPartitions(database, at, at, HOUR);
    await database.pool.query(
      `insert into ${schema}.ledger (id, resource, content, partition, at, outcome, revision)
       values (gen_random_uuid(), 'thing/1', '', 0, $1, 'applied', 1)`,
      [at],
    );
    await database.pool.query(
      `insert into ${schema}.last_revision (resource, revision, at) values ('thing/' || $1, 1, $2)`,
      [hoursAgo, at],
    );
  };
  const left = async () => {
    const ledger = await database.pool.query<{ n: string }>(`select count(*) as n from ${schema}.ledger`);
    const { rows } = await database.pool.query<{ resource: string }>(
      `select resource from ${schema}.last_revision order by resource`,
    );
    return { ledger: Number(ledger.rows[0]?.n), revisions: rows.map((each) => each.resource) };
  };
  const progress = (next: number, lastHoursAgo: number) =>
    database.pool.query(`update ${schema}.tenure set next_position = $1, last_appended_at = $2`, [
      next,
      new Date(Date.now() - lastHoursAgo * HOUR),
    ]);
  return { database, schema, events, sweep, row, left, progress };
}

const endAt = (next: number): PartitionEnd => ({ partition: partition(0), next: position(next), waiting: null });

test('what is past its retention goes, what is within it stays', async () => {
  const { events, sweep, row, left, progress } = await bundle(7);
  for (const hoursAgo of [0.2, 0.9, 2, 5]) await row(hoursAgo);
  await progress(7, 5);
  await sweep();
  expect(await left()).toEqual({ ledger: 2, revisions: ['thing/0.2', 'thing/0.9'] });
  expect(events.map((event) => event.kind)).toEqual(['ledger-pruned', 'last-revisions-pruned']);
});

test('while a lane is behind, nothing goes that it may meet again', async () => {
  const { events, sweep, row, left, progress } = await bundle(8);
  for (const hoursAgo of [0.2, 4.5, 8]) await row(hoursAgo);
  await progress(7, 4);
  await sweep();
  expect(await left()).toEqual({ ledger: 2, revisions: ['thing/0.2', 'thing/4.5'] });
  expect(events.map((event) => event.kind)).toEqual(['ledger-pruned', 'last-revisions-pruned']);
});

test('before a partition was ever read, nothing goes', async () => {
  const { events, sweep, row, left } = await bundle(1);
  await row(8);
  await sweep();
  expect(await left()).toEqual({ ledger: 1, revisions: ['thing/8'] });
  expect(events).toEqual([]);
});

test('a held resource keeps its last revision', async () => {
  const { database, schema, sweep, row, left, progress } = await bundle(7);
  await row(8);
  await row(9);
  await progress(7, 8);
  await database.pool.query(`insert into ${schema}.hold (resource, partition) values ('thing/8', 0)`);
  await sweep();
  expect((await left()).revisions).toEqual(['thing/8']);
});

test('a broker that is away is an event; partitions ahead are made all the same', async () => {
  const { database, events, sweep, row, left } = await bundle(() => Promise.reject(new Error('away')));
  await row(8);
  await sweep();
  expect(events[0]).toMatchObject({ kind: 'housekeeping-failed', cause: { message: 'away' } });
  expect((await left()).ledger).toBe(1);
  const ahead = (await readLedgerPartitions(database)).at(-1);
  expect(ahead?.to.getTime()).toBeGreaterThan(Date.now() + HOUR / 3 - 60_000);
});

test('several processes at once drop each partition once, and none fails', async () => {
  const { database, events, row, left, progress } = await bundle(7);
  for (const hoursAgo of [2, 4, 6, 8]) await row(hoursAgo);
  await progress(7, 2);
  const gone = new Promise<void>((resolve) => {
    const observe = (event: OnelaneEvent) => {
      events.push(event);
      if (events.flatMap((each) => (each.kind === 'ledger-pruned' ? each.partitions : [])).length >= 4) resolve();
    };
    const services = [1, 2, 3].map(() =>
      housekeeping({
        database,
        transport: { ends: () => Promise.resolve([endAt(7)]) },
        ledgerRetentionMs: HOUR,
        everyMs: 5,
        observe,
        clock: systemClock,
        random: Math.random,
      }),
    );
    for (const service of services) {
      closing.push(() => service.stop(5_000));
      void service.start();
    }
  });
  await gone;
  expect(await left()).toEqual({ ledger: 0, revisions: [] });
  const dropped = events.flatMap((event) => (event.kind === 'ledger-pruned' ? event.partitions : []));
  expect(new Set(dropped).size).toBe(dropped.length);
  expect(events.filter((event) => event.kind === 'housekeeping-failed')).toEqual([]);
});

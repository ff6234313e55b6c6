// The ledger has a partition for every date that a lane writes, and loses whole ones past the horizon.
import { afterEach, describe, expect, it } from 'vitest';
import { ensureLedgerPartitions, readLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import { pruneLedger } from '../../../shared/postgres/ledger-prune.ts';
import { freshDatabase, type TestDatabase } from '../../support/database.ts';

const DAY_MS = 86_400_000;
const RETENTION_MS = 30 * DAY_MS;
const WIDTH_MS = RETENTION_MS / 3;
const NOW = new Date('2026-11-22T10:00:00Z');
const days = (count: number) => new Date(NOW.getTime() + count * DAY_MS);

const opened: TestDatabase[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

async function bundle() {
  const db = await freshDatabase({ poolMax: 10 });
  opened.push(db);
  const insert = (at: Date) =>
    db.database.pool.query(
      `insert into ${db.schema}.ledger (id, resource, content, partition, at, outcome, revision)
       values (gen_random_uuid(), 'a/1', '', 0, $1, 'applied', 1)`,
      [at],
    );
  const dates = async () =>
    (await db.database.pool.query<{ at: Date }>(`select at from ${db.schema}.ledger order by at`)).rows.map(
      (row) => row.at,
    );
  return { ...db, insert, dates };
}

describe('ledger partitions', () => {
  it('a range is covered by few partitions cut at fixed boundaries, and rows of all its dates can be written', async () => {
    const { database, insert, dates } = await bundle();
    const covered = await ensureLedgerPartitions(database, days(-25), NOW, RETENTION_MS);
    expect(covered.from.getTime()).toBeLessThanOrEqual(days(-25).getTime());
    expect(covered.to.getTime()).toBeGreaterThan(NOW.getTime());
    const partitions = await readLedgerPartitions(database);
    expect(partitions.length).toBeLessThanOrEqual(4);
    expect(partitions.every((each) => each.from.getTime() % WIDTH_MS === 0)).toBe(true);
    for (const at of [covered.from, days(-25), NOW, new Date(covered.to.getTime() - 1)]) await insert(at);
    expect(await dates()).toHaveLength(4);
    await expect(insert(covered.to)).rejects.toMatchObject({ code: '23514' });
  });

  it('a backlog of years and a date far ahead get partitions too, not hundreds', async () => {
    const { database, insert } = await bundle();
    await ensureLedgerPartitions(database, NOW, NOW, RETENTION_MS);
    await ensureLedgerPartitions(database, days(-4_000), NOW, RETENTION_MS);
    await ensureLedgerPartitions(database, days(2_000), days(2_000), RETENTION_MS);
    for (const day of [-4_000, -3_999, -500, -11, 0, 2_000]) await insert(days(day));
    expect((await readLedgerPartitions(database)).length).toBeLessThan(15);
  });

  it('processes that disagree on the retention share the same partitions', async () => {
    const { database, insert } = await bundle();
    await ensureLedgerPartitions(database, days(-3), days(1), 7 * DAY_MS);
    const covered = await ensureLedgerPartitions(database, days(-30), days(12), RETENTION_MS);
    expect(covered.from.getTime()).toBeLessThanOrEqual(days(-30).getTime());
    for (let day = -30; day <= 12; day++) await insert(days(day));
  });

  it('many processes may ensure at once while rows are written', async () => {
    const { database, insert, dates } = await bundle();
    await ensureLedgerPartitions(database, NOW, NOW, RETENTION_MS);
    const ensured = Array.from({ length: 12 }, (_, index) =>
      ensureLedgerPartitions(database, days(-10 * (index % 6)), NOW, index % 2 === 0 ? RETENTION_MS : DAY_MS),
    );
    await Promise.all([...ensured, ...Array.from({ length: 50 }, () => insert(NOW))]);
    expect(await dates()).toHaveLength(50);
  });

  it('a long writer holds up neither the making of partitions nor the reading', async () => {
    const { database, schema, insert } = await bundle();
    await ensureLedgerPartitions(database, NOW, NOW, RETENTION_MS);
    const writer = await database.pool.connect();
    try {
      await writer.query('begin');
      await writer.query(`lock table ${schema}.ledger in row exclusive mode`);
      await ensureLedgerPartitions(database, days(-40), NOW, RETENTION_MS);
      await insert(days(-40));
    } finally {
      await writer.query('rollback');
      writer.release();
    }
  });
});

describe('pruning', () => {
  it('drops partitions wholly before the horizon and keeps every later row', async () => {
    const { database, insert, dates } = await bundle();
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    for (const day of [-60, -45, -20, 0]) await insert(days(day));
    const dropped = await pruneLedger(database, days(-30));
    expect(dropped.length).toBeGreaterThan(0);
    expect((await dates()).filter((at) => at >= days(-30))).toEqual([days(-20), days(0)]);
    expect((await dates())[0]?.getTime()).toBeGreaterThan(days(-60).getTime());
    expect(await pruneLedger(database, days(-30))).toEqual([]);
  });

  it('is bounded per call, and a dropped range can be made again', async () => {
    const { database, insert } = await bundle();
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    expect(await pruneLedger(database, NOW, 2)).toHaveLength(2);
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    await insert(days(-60));
  });

  it('two pruners at once drop each partition once', async () => {
    const { database } = await bundle();
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    const dropped = (await Promise.all([pruneLedger(database, NOW), pruneLedger(database, NOW)])).flat();
    expect(new Set(dropped).size).toBe(dropped.length);
  });

  it('finishes what a pruner that died left half detached, and so does whoever needs the range', async () => {
    const { database, schema, insert } = await bundle();
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    const [oldest, second] = await readLedgerPartitions(database);
    await halfDetach(database.pool, schema, oldest?.name ?? '');
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    await insert(days(-60));
    await halfDetach(database.pool, schema, second?.name ?? '');
    expect(await pruneLedger(database, days(-1_000))).toEqual([second?.name]);
    expect((await readLedgerPartitions(database)).some((each) => each.isLeaving)).toBe(false);
  });
});

describe('a lane that makes a partition in the middle of its transaction', () => {
  it('is not waited for by a pruner in a way that holds the new partition up', async () => {
    const { database, schema } = await bundle();
    await ensureLedgerPartitions(database, days(-60), NOW, RETENTION_MS);
    const lane = await database.pool.connect();
    try {
      await lane.query('begin');
      await lane.query(`select count(*) from ${schema}.ledger`);
      const pruned = pruneLedger(database, days(-30));
      await expect.poll(() => waitingPruners(database.pool, schema)).toBe(1);
      await ensureLedgerPartitions(database, days(40), days(40), RETENTION_MS);
      expect(await waitingPruners(database.pool, schema)).toBe(1);
      await lane.query('commit');
      expect((await pruned).length).toBeGreaterThan(0);
    } finally {
      lane.release();
    }
  });
});

async function waitingPruners(pool: TestDatabase['database']['pool'], schema: string): Promise<number> {
  const { rowCount } = await pool.query(
    `select from pg_stat_activity where application_name = 'onelane-housekeeping' and wait_event_type = 'Lock'
     and query like '%' || $1 || '%concurrently'`,
    [schema],
  );
  return rowCount ?? 0;
}

/** A pruner whose session is ended while it waits for a reader: the partition stays marked as leaving. */
async function halfDetach(pool: TestDatabase['database']['pool'], schema: string, name: string): Promise<void> {
  const reader = await pool.connect();
  const pruner = await pool.connect();
  try {
    await reader.query('begin');
    await reader.query(`select count(*) from ${schema}.ledger`);
    await pruner.query('set statement_timeout = 300');
    await expect(
      pruner.query(`alter table ${schema}.ledger detach partition ${schema}."${name}" concurrently`),
    ).rejects.toMatchObject({ code: '57014' });
  } finally {
    await reader.query('rollback');
    reader.release();
    pruner.release(true);
  }
}

// A system's identity is stored once; processes that disagree do not start.
import { afterEach, describe, expect, it } from 'vitest';
import { ensureLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import { isOwnTable } from '../../../shared/postgres/own-tables.ts';
import { openSystem, readSystem, SystemMismatch } from '../../../shared/postgres/system.ts';
import { migrate } from '../../../shared/postgres/migrate.ts';
import { freshSchemas, type TestSchemas } from '../../support/database.ts';

const opened: TestSchemas[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

async function bundle(): Promise<TestSchemas> {
  const schemas = await freshSchemas();
  opened.push(schemas);
  await migrate(schemas.database, 'auto', () => undefined);
  return schemas;
}

const wanted = { partitions: 8, transport: 'postgres', channel: 'orders' };

describe('system', () => {
  it('has no table that is not known as one of Onelane’s own', async () => {
    const { database, schema } = await bundle();
    await openSystem(database, wanted);
    await ensureLedgerPartitions(database, new Date(0), new Date(1), 1_000);
    const { rows } = await database.pool.query<{ name: string }>(
      `select c.relname as name from pg_class c where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')`,
      [schema],
    );
    expect(rows.length).toBeGreaterThan(12);
    expect(rows.filter(({ name }) => !isOwnTable(name))).toEqual([]);
  });

  it('the first process stores the identity with one tenure and one lease per partition', async () => {
    const { database, schema } = await bundle();
    const system = await openSystem(database, wanted);
    expect(system).toMatchObject({ partitions: 8, layout: 1, transport: 'postgres', channel: 'orders' });
    for (const table of ['tenure', 'lease']) {
      const { rows } = await database.pool.query(`select partition from ${schema}.${table} order by partition`);
      expect(rows.map((row: { partition: number }) => row.partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    }
  });

  it('without a wish a new system has 16 partitions, and a later process takes what is stored', async () => {
    const { database } = await bundle();
    const first = await openSystem(database, { ...wanted, partitions: null });
    expect(first.partitions).toBe(16);
    expect(await openSystem(database, { ...wanted, partitions: null })).toEqual(first);
    expect(await openSystem(database, { ...wanted, partitions: 16 })).toEqual(first);
  });

  it('ten processes that start at once agree on one identity', async () => {
    const { database } = await bundle();
    const systems = await Promise.all(Array.from({ length: 10 }, () => openSystem(database, wanted)));
    expect(new Set(systems.map((each) => each.id)).size).toBe(1);
    expect(await readSystem(database)).toEqual(systems[0]);
  });

  it.each([
    ['partitions', { ...wanted, partitions: 4 }, /ONELANE_PARTITIONS/],
    ['transport', { ...wanted, transport: 'kafka' }, /ONELANE_TRANSPORT/],
    ['channel', { ...wanted, channel: 'other' }, /ONELANE_CHANNEL/],
  ])('a process with other %s is refused and told what to set', async (_what, other, sentence) => {
    const { database } = await bundle();
    await openSystem(database, wanted);
    const refused = await openSystem(database, other).catch((thrown: unknown) => thrown);
    expect(refused).toBeInstanceOf(SystemMismatch);
    expect(String(refused)).toMatch(sentence);
  });
});

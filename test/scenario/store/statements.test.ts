// Proves how the store speaks to PostgreSQL: a constant number of named statements, by key, and clients that come back clean.
import type pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { CommitRolledBack } from '../../../consumers/lane/postgres/flush.ts';
import { withLaneClient } from '../../../consumers/lane/postgres/lane-client.ts';
import { position } from '../../../shared/command/identity.ts';
import type { Plan, Recall } from '../../../consumers/lane/batch-store.ts';
import {
  accountKey,
  changeAccount,
  changeNote,
  deposit,
  hashOf,
  ids,
  ledgerRow,
  parkedRow,
  planThrough,
  stepOf,
  storeBundle,
  strayRow,
  wanted,
  type StoreBundle,
} from '../../support/store-bundle.ts';

let open: StoreBundle | undefined;
async function bundle(): Promise<StoreBundle> {
  return (open = await storeBundle({ lanePoolMax: 1 }));
}
afterEach(async () => {
  await open?.db.close();
  open = undefined;
});

/** The named statements that lane clients send, in order, and how often they wait for answers. */
function listen(made: StoreBundle): { readonly statements: string[]; roundTrips: number } {
  const sent = { statements: new Array<string>(), roundTrips: 0 };
  made.db.lanePool.on('connect', ({ connection }: pg.PoolClient) => {
    const { bind, sync } = connection;
    connection.bind = (config, more) => {
      sent.statements.push(config?.statement ?? '');
      bind.call(connection, config, more);
    };
    connection.sync = () => {
      sent.roundTrips++;
      sync.call(connection);
    };
  });
  return sent;
}

/** Everything that a plan can hold, `count` times. */
function everything(found: Recall, count: number, at: bigint): Partial<Plan> {
  const numbers = Array.from({ length: count }, (_, n) => n);
  return {
    rows: numbers.flatMap((n) => [
      deposit(found, `${n}`, 1n),
      changeAccount(found, `${100_000 + n}`, at % 2n === 1n ? { balance: 0n, owner: null } : null),
      changeNote(found, `note ${at} ${n}`, { text: 'x', parent: null }),
    ]),
    ledger: numbers.map((n) => ledgerRow({ key: accountKey(`${n}`) })),
    parked: numbers.map((n) => parkedRow({ key: accountKey(`held ${at} ${n}`), number: 1 })),
    strays: numbers.map((n) => strayRow(at * 1_000n + BigInt(n))),
  };
}

describe('the statements of a batch', () => {
  it('are as many for 300 commands as for one, and all named', async () => {
    const made = await bundle();
    const sent = listen(made);
    const { claim, store } = made;
    let tenure = await claim();
    const counts: number[] = [];
    for (const [at, count] of [1, 1, 1, 1, 300, 300].entries()) {
      const accounts = Array.from({ length: count }, (_, n) => [`${n}`, `${100_000 + n}`]).flat();
      Object.assign(sent, { statements: [], roundTrips: 0 });
      const about = wanted({ accounts, notes: ['a'], ids: ids(count), entries: [] });
      ({ tenure } = await store.transact(
        tenure,
        stepOf(about, (found) => planThrough(BigInt(at), everything(found, count, BigInt(at)))),
        'optimistic',
      ));
      counts.push(sent.statements.length);
      expect(sent.roundTrips).toBe(2);
      expect(sent.statements.every((name) => name.startsWith('ol_') && name.length < 63)).toBe(true);
    }
    // Batches that delete write last revisions, too.
    expect(counts).toEqual([15, 14, 15, 14, 15, 14].map((most, at) => counts[at % 2] ?? most));
    expect(Math.max(...counts)).toBeLessThanOrEqual(15);
  });

  it('are few where there is little to write', async () => {
    const made = await bundle();
    const sent = listen(made);
    const tenure = await made.claim();
    Object.assign(sent, { statements: [], roundTrips: 0 });
    const about = wanted({ accounts: ['1'] });
    await made.store.transact(
      tenure,
      stepOf(about, () => planThrough(1n)),
      'optimistic',
    );
    // Begin, fence, books, rows; position, commit.
    expect(sent.statements).toHaveLength(6);
    expect(sent.roundTrips).toBe(2);
  });

  it('find their rows by index, also when they were first planned on empty tables', async () => {
    const made = await bundle();
    const { sql, store, claim } = made;
    let tenure = await claim();
    for (let at = 0; at < 12; at++) {
      const accounts = Array.from({ length: 200 }, (_, n) => `${at * 150 + n}`);
      const about = wanted({ accounts, ids: ids(200), entries: [{ position: position(at), hash: hashOf(1n) }] });
      ({ tenure } = await store.transact(
        tenure,
        stepOf(about, (found) =>
          planThrough(BigInt(at), {
            rows: accounts.map((id) => deposit(found, id, 1n)),
            ledger: accounts.map((id) => ledgerRow({ key: accountKey(id) })),
          }),
        ),
        at % 3 === 0 ? 'rows' : 'optimistic',
      ));
    }
    const scans = `
      select relname, seq_scan, idx_scan
      from pg_stat_user_tables
      where relid = '{tables}.account'::regclass or relname ~ '^(ledger_|hold|parked|stray|last_revision)' and schemaname = '${made.db.schema}'`;
    // A session tells its statistics when it ends.
    await made.db.lanePool.end();
    let found = await sql(scans);
    while (!found.some((row) => Number(row['idx_scan']) >= 1_000)) found = await sql(scans);
    // Making an index scans the empty table; twelve batches must add nothing.
    expect(found.filter((row) => Number(row['seq_scan']) > 4)).toEqual([]);
  });
});

describe('a client', () => {
  it('that met an error is rolled back and lent again', async () => {
    const { store, claim, db, sql } = await bundle();
    const tenure = await claim();
    const bad = stepOf(wanted({ accounts: ['1'] }), (found) => planThrough(1n, { rows: [deposit(found, '1', -1n)] }));
    await expect(store.transact(tenure, bad, 'rows')).rejects.toMatchObject({ code: '23514' });
    const throwing = stepOf(wanted({ accounts: ['1'] }), () => {
      throw new Error('a bug');
    });
    await expect(store.transact(tenure, throwing, 'tables')).rejects.toThrow('a bug');
    expect(db.lanePool.totalCount).toBe(1);
    expect(
      await sql(
        `select count(*) from pg_locks l join pg_class c on c.oid = l.relation where relname = 'tenure' and relnamespace = '{schema}'::regnamespace`,
      ),
    ).toEqual([{ count: '0' }]);
    await store.transact(
      tenure,
      stepOf(wanted({}), () => planThrough(1n)),
      'optimistic',
    );
    expect(db.lanePool.totalCount).toBe(1);
  });

  it('with a plan that no longer fits is closed, and the next one works', async () => {
    const { store, claim, sql } = await bundle();
    const step = stepOf(wanted({ accounts: ['1'] }), (found) => planThrough(1n, { rows: [deposit(found, '1', 1n)] }));
    const one = await store.transact(await claim(), step, 'optimistic');
    await sql('alter table {schema}.tenure alter column commits type numeric');
    await sql('alter table {tables}.account alter column balance type numeric');
    await sql('alter table {schema}.tenure alter column commits type bigint');
    const again = await store.transact(one.tenure, step, 'optimistic').catch((error: unknown) => error);
    if (again instanceof Error) {
      expect(again).toMatchObject({ code: '0A000' });
      await store.transact(one.tenure, step, 'optimistic');
    }
    expect(await sql('select balance from {tables}.account')).toEqual([{ balance: '2' }]);
  });

  it('whose connection breaks is not lent again', async () => {
    const { store, claim, db, sql } = await bundle();
    const tenure = await claim();
    const killed = stepOf(wanted({ accounts: ['1'] }), async (found) => {
      await sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'onelane-lane' and query like '%${db.tables}%'`,
      );
      return planThrough(1n, { rows: [deposit(found, '1', 1n)] });
    });
    await expect(store.transact(tenure, killed, 'optimistic')).rejects.toThrow();
    expect(db.lanePool.totalCount).toBe(0);
    expect(
      (
        await store.transact(
          tenure,
          stepOf(wanted({}), () => planThrough(1n)),
          'optimistic',
        )
      ).tenure.commits,
    ).toBe(1n);
  });

  it('that asks for COMMIT in a failed transaction learns that nothing was committed', async () => {
    const { store, claim, db } = await bundle();
    const tenure = await claim();
    const hooked = {
      ...stepOf(wanted({}), () => planThrough(1n)),
      beforeCommit: async () => {
        // As if a statement had failed unseen.
        const [client] = Reflect.get(db.lanePool, '_clients') as pg.PoolClient[];
        await client?.query('select 1 / 0').catch(() => undefined);
      },
    };
    await expect(store.transact(tenure, hooked, 'optimistic')).rejects.toThrow(CommitRolledBack);
    expect(
      (
        await store.transact(
          tenure,
          stepOf(wanted({}), () => planThrough(1n)),
          'optimistic',
        )
      ).tenure.commits,
    ).toBe(1n);
  });

  it('is rolled back when the work on it throws between two flushes', async () => {
    const { db } = await bundle();
    await expect(
      withLaneClient(db.lanePool, async (client) => {
        await client.query('begin');
        throw new Error('in between');
      }),
    ).rejects.toThrow('in between');
    const client = await db.lanePool.connect();
    expect(client.getTransactionStatus()).toBe('I');
    client.release();
  });
});

// Proves the one statement that writes rows: its order, its constraints, and what it does when somebody else writes the same rows.
import { afterEach, describe, expect, it } from 'vitest';
import type { Plan, Recall, RowChange, RowLocking } from '../../../consumers/lane/batch-store.ts';
import {
  accountKey,
  changeAccount,
  changeNote,
  deposit,
  ledgerRow,
  planThrough,
  stepOf,
  storeBundle,
  wanted,
  type StoreBundle,
} from '../../support/store-bundle.ts';

let open: StoreBundle | undefined;
async function bundle(sql = ''): Promise<StoreBundle> {
  return (open = await storeBundle({ lanePoolMax: 3, sql }));
}
afterEach(async () => {
  await open?.db.close();
  open = undefined;
});

interface Change {
  readonly accounts?: string[];
  readonly notes?: string[];
  readonly locking?: RowLocking;
  readonly plan?: Partial<Plan>;
  /** Between recall and persist. */
  readonly meanwhile?: () => Promise<unknown>;
}

/** One batch that writes these changes. */
async function apply(made: StoreBundle, about: Change, rows: (found: Recall) => RowChange[]): Promise<void> {
  await made.store.transact(
    await made.claim(),
    stepOf(wanted(about), async (found) => {
      const changes = rows(found);
      await about.meanwhile?.();
      return planThrough(1n, { rows: changes, ...about.plan });
    }),
    about.locking ?? 'optimistic',
  );
}

const LOCKINGS: readonly RowLocking[] = ['optimistic', 'rows', 'tables'];
const balances = (made: StoreBundle) => made.sql('select id, balance, owner from {tables}.account order by id');
const note = (text: string, parent: string | null = null) => ({ text, parent });

describe('a batch of rows', () => {
  it('is written with any locking, two types at once', async () => {
    const made = await bundle();
    for (const locking of LOCKINGS) {
      await apply(made, { accounts: ['1', '2'], notes: ['a'], locking }, (found) => [
        deposit(found, '1', 1n),
        deposit(found, '2', 2n),
        changeNote(found, 'a', note(locking)),
      ]);
    }
    expect(await balances(made)).toMatchObject([{ balance: '3' }, { balance: '6' }]);
    expect(await made.sql('select "order", "Changes" from {tables}.note')).toEqual([{ order: 'tables', Changes: '3' }]);
  });

  it('swaps the values of a deferrable unique constraint, and is refused by an ordinary one', async () => {
    const made = await bundle(`
      alter table {tables}.account add constraint one_owner unique (owner) deferrable;
      insert into {tables}.account (id, owner) values (1, 'ann'), (2, 'bob');`);
    const swap = (found: Recall) => [
      changeAccount(found, '1', { balance: 0n, owner: 'bob' }),
      changeAccount(found, '2', { balance: 0n, owner: 'ann' }),
    ];
    await apply(made, { accounts: ['1', '2'] }, swap);
    expect(await balances(made)).toMatchObject([{ owner: 'bob' }, { owner: 'ann' }]);
    await made.sql('alter table {tables}.account drop constraint one_owner');
    await made.sql('create unique index on {tables}.account (owner)');
    const back = (found: Recall) =>
      swap(found).map((change, at) => ({ ...change, after: swap(found)[1 - at]?.after ?? null }));
    await expect(apply(made, { accounts: ['1', '2'] }, back)).rejects.toMatchObject({ code: '23505' });
  });

  it('makes a child before its parent, and moves one to a parent of the same batch from one that goes', async () => {
    const made = await bundle();
    await apply(made, { notes: ['child', 'parent'] }, (found) => [
      changeNote(found, 'child', note('', 'parent')),
      changeNote(found, 'parent', note('')),
    ]);
    await apply(made, { notes: ['child', 'parent', 'heir'] }, (found) => [
      changeNote(found, 'parent', null),
      changeNote(found, 'child', note('moved', 'heir')),
      changeNote(found, 'heir', note('')),
    ]);
    expect(await made.sql('select name, parent from {tables}.note order by name')).toEqual([
      { name: 'child', parent: 'heir' },
      { name: 'heir', parent: null },
    ]);
  });

  it('gives a deleted row’s unique value to a new one, whichever comes first in the batch', async () => {
    const made = await bundle(`
      create unique index on {tables}.account (owner);
      insert into {tables}.account (id, owner) values (1, 'ann'), (2, 'bob');`);
    await apply(made, { accounts: ['1', '2', '3'] }, (found) => [
      changeAccount(found, '3', { balance: 0n, owner: 'bob' }),
      changeAccount(found, '2', { balance: 0n, owner: 'ann' }),
      changeAccount(found, '1', null),
    ]);
    expect(await balances(made)).toMatchObject([
      { id: '2', owner: 'ann' },
      { id: '3', owner: 'bob' },
    ]);
  });

  it('leaves nothing behind when a check, a deferred constraint or a trigger refuses it', async () => {
    const made = await bundle(`
      create table {tables}.member (name text primary key);
      alter table {tables}.account add foreign key (owner) references {tables}.member deferrable initially deferred;
      create function {tables}.refuse() returns trigger language plpgsql as $$
        begin if new.balance = 13 then raise exception 'no thirteen' using errcode = 'ZZ001'; end if; return new; end $$;
      create trigger refuse before insert or update on {tables}.account for each row execute function {tables}.refuse();`);
    const attempts = [
      [{ balance: -1n, owner: null }, '23514'],
      [{ balance: 0n, owner: 'nobody' }, '23503'],
      [{ balance: 13n, owner: null }, 'ZZ001'],
    ] as const;
    for (const [state, code] of attempts) {
      const plan = { ledger: [ledgerRow({ key: accountKey('1') })] };
      const attempt = apply(made, { accounts: ['1'], plan }, (found) => [changeAccount(found, '1', state)]);
      await expect(attempt).rejects.toMatchObject({ code });
    }
    expect(await balances(made)).toEqual([]);
    expect(await made.sql('select count(*) from {schema}.ledger')).toEqual([{ count: '0' }]);
    expect(await made.sql('select commits from {schema}.tenure where partition = 0')).toEqual([{ commits: '0' }]);
  });

  it('hears from a deferred constraint before anybody is told that COMMIT comes', async () => {
    const made = await bundle(`
      create table {tables}.member (name text primary key);
      alter table {tables}.account add foreign key (owner) references {tables}.member deferrable initially deferred;`);
    let isTold = false;
    const step = stepOf(wanted({ accounts: ['1'] }), (found) =>
      planThrough(1n, { rows: [changeAccount(found, '1', { balance: 0n, owner: 'nobody' })] }),
    );
    const beforeCommit = () => Promise.resolve(void (isTold = true));
    const attempt = made.store.transact(await made.claim(), { ...step, beforeCommit }, 'optimistic');
    await expect(attempt).rejects.toMatchObject({ code: '23503' });
    expect(isTold).toBe(false);
  });

  it('stores neither text with NUL nor text that is cut', async () => {
    const made = await bundle();
    const attempt = apply(made, { notes: ['a'] }, (found) => [changeNote(found, 'a', note('\u0000'))]);
    await expect(attempt).rejects.toMatchObject({ code: '22021' });
    await made.sql('alter table {tables}.note alter column "order" type varchar(3)');
    const long = apply(made, { notes: ['a'] }, (found) => [changeNote(found, 'a', note('four'))]);
    await expect(long).rejects.toMatchObject({ code: '22001' });
    expect(await made.sql('select * from {tables}.note')).toEqual([]);
  });
});

describe('a row that somebody else writes between recall and persist', () => {
  const cases = [
    [
      'updated',
      `update {tables}.account set balance = balance + 100 where id = 1`,
      (f: Recall) => [deposit(f, '1', 1n)],
    ],
    ['deleted', `delete from {tables}.account where id = 1`, (f: Recall) => [deposit(f, '1', 1n)]],
    [
      'updated before our delete',
      `update {tables}.account set owner = 'x' where id = 1`,
      (f: Recall) => [changeAccount(f, '1', null)],
    ],
    ['inserted', `insert into {tables}.account values (2, 0, 100)`, (f: Recall) => [deposit(f, '2', 1n)]],
    [
      'replaced',
      `with gone as (delete from {tables}.account where id = 1) insert into {tables}.account values (3, 0, 1)`,
      (f: Recall) => [deposit(f, '1', 1n)],
    ],
  ] as const;

  it.each(cases)('%s: nothing of the batch is written, and it is told as OL001', async (_, direct, rows) => {
    const made = await bundle(`insert into {tables}.account values (1, 0, 10)`);
    const meanwhile = () => made.sql(direct);
    const attempt = apply(made, { accounts: ['1', '2'], notes: ['a'], meanwhile }, (found) => [
      ...rows(found),
      changeNote(found, 'a', note('')),
    ]);
    await expect(attempt).rejects.toMatchObject({ code: 'OL001' });
    expect(await made.sql('select * from {tables}.note')).toEqual([]);
    expect(await made.sql('select commits from {schema}.tenure where partition = 0')).toEqual([{ commits: '0' }]);
    await apply(made, { accounts: ['1', '2'], locking: 'rows' }, rows);
  });

  it('waits for us once its row or its table is locked', async () => {
    for (const [locking, direct] of [
      ['rows', `update {tables}.account set balance = balance + 100 where id = 1`],
      ['tables', `insert into {tables}.account values (2, 0, 7)`],
    ] as const) {
      const made = await bundle(`insert into {tables}.account values (1, 0, 10)`);
      let other: Promise<unknown> | undefined;
      const meanwhile = async () => {
        other = made.sql(direct);
        await waiting(made);
      };
      await apply(made, { accounts: ['1'], locking, meanwhile }, (found) => [deposit(found, '1', 1n)]);
      await other;
      expect((await balances(made))[0]).toMatchObject({ balance: locking === 'rows' ? '111' : '11' });
      await made.db.close();
    }
  });

  it('is read anew by a locking recall that had to wait for it', async () => {
    const made = await bundle(`insert into {tables}.account values (1, 0, 10)`);
    const direct = await made.db.database.pool.connect();
    await direct.query(`begin; update "${made.db.tables}".account set balance = 500 where id = 1`);
    const applied = apply(made, { accounts: ['1'], locking: 'rows' }, (found) => [deposit(found, '1', 1n)]);
    await waiting(made);
    await direct.query('commit');
    direct.release();
    await applied;
    expect(await balances(made)).toMatchObject([{ balance: '501' }]);
  });
});

describe('a trigger that returns null', () => {
  const keepBack = `
    insert into {tables}.account values (1, 0, 10);
    create function {tables}.keep() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger keep before update or delete or insert on {tables}.account for each row execute function {tables}.keep();`;

  it('is a change by somebody else until the row was locked, then a refusal', async () => {
    const made = await bundle(keepBack);
    const codes = (locking: RowLocking, id: string) =>
      apply(made, { accounts: [id], locking }, (found) => [deposit(found, id, 1n)]).then(
        () => 'applied',
        (error: unknown) => Reflect.get(Object(error), 'code') as unknown,
      );
    expect(await codes('optimistic', '1')).toBe('OL001');
    expect(await codes('rows', '1')).toBe('OL002');
    expect(await codes('rows', '2')).toBe('OL001');
    expect(await codes('tables', '2')).toBe('OL002');
    expect(await balances(made)).toMatchObject([{ balance: '10' }]);
  });
});

/** Resolves when a session waits for a lock on the test's tables. */
async function waiting(made: StoreBundle): Promise<void> {
  const query = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%{tables}%'`;
  for (let tries = 0; tries < 500; tries++) {
    if ((await made.sql(query)).length > 0) return;
    await made.sql('select pg_sleep(0.01)');
  }
  throw new Error('nobody waited');
}

// Proves single steps under savepoints: a refused one is planned once more, the others stay, and many culprits take no longer than they must.
import { afterEach, describe, expect, it } from 'vitest';
import type { BatchStep, Plan } from '../../../consumers/lane/batch-store.ts';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import { position } from '../../../shared/command/identity.ts';
import {
  accountKey,
  changeAccount,
  changeNote,
  deposit,
  ledgerRow,
  noteKey,
  parkedRow,
  planThrough,
  stepOf,
  storeBundle,
  strayRow,
  wanted,
  type NoteState,
  type StoreBundle,
} from '../../support/store-bundle.ts';

let open: StoreBundle | undefined;
async function bundle(sql = ''): Promise<StoreBundle> {
  return (open = await storeBundle({ sql }));
}
afterEach(async () => {
  await open?.db.close();
  open = undefined;
});

/** Adds `amount`; parked when it was refused, or when its account is held. */
function depositStep(at: bigint, id: string, amount: bigint, seen: (CommandFailure | null)[] = []): BatchStep {
  const key = accountKey(id);
  return stepOf(wanted({ accounts: [id] }), (found, refusal) => {
    seen.push(refusal);
    const number = found.holds.get(key)?.nextNumber;
    if (refusal === null && number === undefined) {
      return planThrough(at, { rows: [deposit(found, id, amount)], ledger: [ledgerRow({ key })] });
    }
    const failure = refusal ?? { code: 'resource-held', detail: 'held' };
    return planThrough(at, { parked: [parkedRow({ key, number: number ?? 1, position: position(at), failure })] });
  });
}

describe('single steps in one transaction', () => {
  it('see what the steps before them wrote; a refused one is parked and holds its resource', async () => {
    const { store, claim, sql } = await bundle();
    const seen: (CommandFailure | null)[] = [];
    const steps = [
      depositStep(1n, '1', 5n),
      depositStep(2n, '2', 1n),
      depositStep(3n, '1', -6n, seen),
      depositStep(4n, '1', 100n),
      depositStep(5n, '2', 1n),
      stepOf(wanted({}), () => planThrough(6n, { strays: [strayRow(6n)] })),
      stepOf(wanted({}), () => planThrough(7n, { strays: [strayRow(7n)] })),
    ];
    const done = await store.transactEach(await claim(), steps, 'optimistic');
    expect(seen).toEqual([
      null,
      { code: 'refused-by-database', sqlstate: '23514', detail: expect.stringContaining('balance') as string },
    ]);
    expect(done.plans.map((plan) => [plan.rows.length, plan.parked.length])).toEqual([
      [1, 0],
      [1, 0],
      [0, 1],
      [0, 1],
      [1, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(done.tenure).toMatchObject({ commits: 1n, resume: { next: 8n } });
    expect(await sql('select id, balance, revision from {tables}.account order by id')).toEqual([
      { id: '1', balance: '5', revision: '1' },
      { id: '2', balance: '2', revision: '2' },
    ]);
    expect(await sql('select number, position, code, sqlstate from {schema}.parked order by number')).toEqual([
      { number: '1', position: '3', code: 'refused-by-database', sqlstate: '23514' },
      { number: '2', position: '4', code: 'resource-held', sqlstate: null },
    ]);
    expect(await sql('select number, position from {schema}.stray order by number')).toEqual([
      { number: '1', position: '6' },
      { number: '2', position: '7' },
    ]);
    expect(await sql('select next_position, commits, strays from {schema}.tenure where partition = 0')).toEqual([
      { next_position: '8', commits: '1', strays: '2' },
    ]);
  });

  it('meet a deferred constraint at their own end, the first and the last alike', async () => {
    const { store, claim, sql } = await bundle(`
      create table {tables}.member (name text primary key);
      insert into {tables}.member values ('ann');
      alter table {tables}.account add foreign key (owner) references {tables}.member deferrable initially deferred;`);
    const step = (at: bigint, id: string, owner: string): BatchStep =>
      stepOf(wanted({ accounts: [id] }), (found, refusal) =>
        planThrough(
          at,
          refusal === null
            ? { rows: [changeAccount(found, id, { balance: 0n, owner })] }
            : {
                parked: [parkedRow({ key: accountKey(id), number: 1, failure: refusal })],
              },
        ),
      );
    const steps = [step(1n, '1', 'x'), step(2n, '2', 'ann'), step(3n, '3', 'y')];
    // Few go one after the other, many together.
    await store.transactEach(await claim(), steps, 'rows');
    const more = [step(4n, '4', 'ann'), step(5n, '5', 'z'), step(6n, '6', 'ann'), step(7n, '7', 'ann')];
    await store.transactEach(await claim(), more, 'rows');
    const written = await sql('select id from {tables}.account order by id');
    expect(written.map((row) => row['id'])).toEqual(['2', '4', '6', '7']);
    expect(await sql('select resource, sqlstate from {schema}.parked order by 1')).toEqual(
      [1, 3, 5].map((id) => ({ resource: `account/${id}`, sqlstate: '23503' })),
    );
  });

  it('end with a plan that halts', async () => {
    const { store, claim, sql } = await bundle();
    const halting = stepOf(wanted({ accounts: ['2'] }), () =>
      planThrough(2n, {
        through: null,
        halt: { position: position(2), failure: { code: 'decide-threw', detail: 'x' } },
      }),
    );
    const done = await store.transactEach(
      await claim(),
      [depositStep(1n, '1', 1n), halting, depositStep(3n, '3', 1n)],
      'optimistic',
    );
    expect(done.plans).toHaveLength(2);
    expect(done.tenure.resume.next).toBe(2n);
    expect(await sql('select id from {tables}.account')).toEqual([{ id: '1' }]);
  });

  it('write nothing at all when an error is no refusal', async () => {
    const { store, claim, sql } = await bundle();
    const another: BatchStep = stepOf(wanted({ accounts: ['2'] }), async (found) => {
      await sql('insert into {tables}.account values (2, 1, 1)');
      return planThrough(2n, { rows: [deposit(found, '2', 1n)] });
    });
    const attempt = store.transactEach(await claim(), [depositStep(1n, '1', 1n), another], 'optimistic');
    await expect(attempt).rejects.toMatchObject({ code: 'OL001' });
    expect(await sql('select id from {tables}.account')).toEqual([{ id: '2' }]);
  });

  it('write nothing when a step is refused even as it is parked', async () => {
    const { store, claim, sql } = await bundle();
    const stubborn = stepOf(wanted({ accounts: ['1'] }), (found) =>
      planThrough(2n, { rows: [deposit(found, '1', -1n)] }),
    );
    await expect(store.transactEach(await claim(), [stubborn], 'optimistic')).rejects.toMatchObject({ code: '23514' });
    expect(await sql('select commits from {schema}.tenure where partition = 0')).toEqual([{ commits: '0' }]);
  });

  it('park what cannot be read as a state', async () => {
    const { store, claim, sql } = await bundle(`
      alter table {tables}.note alter column "order" drop not null;
      insert into {tables}.note (name, "order") values ('void', null), ('fine', 'x');`);
    const rewrite = (at: bigint, name: string): BatchStep =>
      stepOf(wanted({ notes: [name] }), (found, refusal) => {
        const key = noteKey(name);
        if (refusal !== null) return planThrough(at, { parked: [parkedRow({ key, number: 1, failure: refusal })] });
        return planThrough(at, { rows: [changeNote(found, name, found.rows.get(key)?.state as NoteState)] });
      });
    for (const many of [false, true]) {
      const others = many
        ? ['a', 'b', 'c'].map((name) => stepOf(wanted({ notes: [name] }), () => planThrough(3n)))
        : [];
      await sql('delete from {schema}.parked');
      await store.transactEach(await claim(), [rewrite(1n, 'void'), rewrite(2n, 'fine'), ...others], 'optimistic');
      expect(await sql('select resource, code, detail from {schema}.parked')).toEqual([
        {
          resource: 'note/void',
          code: 'refused-by-database',
          detail: expect.stringContaining('column "order"') as string,
        },
      ]);
    }
    expect(await sql(`select "Changes" from {tables}.note where name = 'fine'`)).toEqual([{ Changes: '2' }]);
  });

  it('park what cannot even be recalled, first step or not', async () => {
    const made = await bundle(`
      create function {tables}.poison(balance bigint) returns boolean language plpgsql as $$
        begin if balance = 13 then raise exception 'no' using errcode = 'ZZ013'; end if; return true; end $$;
      insert into {tables}.account values (1, 1, 13), (2, 1, 1), (3, 1, 13), (4, 1, 1), (5, 1, 1);`);
    const { store, claim, sql } = made;
    // A policy that raises stands for whatever may go wrong in reading one row. It binds ordinary users only.
    const user = `${made.db.schema}_user`;
    await sql(`create role ${user}`);
    try {
      await sql(`grant all on schema {schema}, {tables} to ${user}`);
      await sql(
        `grant all on all tables in schema {schema} to ${user}; grant all on all tables in schema {tables} to ${user}`,
      );
      await sql(`alter table {tables}.account enable row level security`);
      await sql(`create policy poison on {tables}.account using ({tables}.poison(balance))`);
      made.db.lanePool.options.options = `-c role=${user}`;
      const steps = (from: bigint) => [1n, 2n, 3n, 4n, 5n].map((id) => depositStep(from + id, String(id), 1n));
      await store.transactEach(await claim(), steps(0n), 'optimistic');
      const few = [depositStep(6n, '2', 1n), depositStep(7n, '4', 1n), depositStep(8n, '3', 1n)];
      await store.transactEach(await claim(), few, 'optimistic');
      expect(await sql('select resource, number, sqlstate from {schema}.parked order by 1, 2')).toEqual([
        { resource: 'account/1', number: '1', sqlstate: 'ZZ013' },
        { resource: 'account/3', number: '1', sqlstate: 'ZZ013' },
        { resource: 'account/3', number: '2', sqlstate: 'ZZ013' },
      ]);
      expect(await sql('select id, balance from {tables}.account where balance <> 13 order by id')).toEqual([
        { id: '2', balance: '3' },
        { id: '4', balance: '3' },
        { id: '5', balance: '2' },
      ]);
    } finally {
      await made.db.lanePool.end();
      await sql(`drop owned by ${user}; drop role ${user}`);
    }
  });

  it('go one after the other when a trigger of one touches the row of another', async () => {
    const { store, claim, sql } = await bundle(`
      insert into {tables}.account values (1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1);
      create function {tables}.echo() returns trigger language plpgsql as $$
        begin update {tables}.account set balance = balance + 100 where id = new.id + 1; return new; end $$;
      create trigger echo after update on {tables}.account for each row when (new.id = 1) execute function {tables}.echo();`);
    for (const locking of ['optimistic', 'rows'] as const) {
      const steps = [1n, 2n, 3n, 4n].map((id) => depositStep(id, String(id), 1n));
      await store.transactEach(await claim(), steps, locking);
    }
    expect(await sql('select balance from {tables}.account order by id')).toEqual([
      { balance: '3' },
      { balance: '203' },
      { balance: '3' },
      { balance: '3' },
    ]);
    expect(await sql('select * from {schema}.parked')).toEqual([]);
  });

  it('park 10,000 culprits in one transaction', async () => {
    const { store, claim, sql } = await bundle();
    const steps = Array.from({ length: 10_000 }, (_, at) => depositStep(BigInt(at), String(at), -1n));
    const done = await store.transactEach(await claim(), steps, 'optimistic');
    expect(done.plans.every((plan: Plan) => plan.parked.length === 1)).toBe(true);
    expect(await sql('select count(*), count(distinct resource) as held from {schema}.hold')).toEqual([
      { count: '10000', held: '10000' },
    ]);
  });
});

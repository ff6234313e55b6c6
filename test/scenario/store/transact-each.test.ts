// Proves single steps under savepoints: a refused one is planned once more, the others stay, and many culprits take no longer than they must.
import { afterEach, describe, expect, it } from 'vitest';
import type { BatchStep, Plan, Recall } from '../../../consumers/lane/batch-store.ts';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import { position } from '../../../shared/command/identity.ts';
import {
  accountKey,
  changeAccount,
  changeNote,
  deposit,
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
    const steps = [
      step(1n, '1', 'x'),
      step(2n, '2', 'ann'),
      step(3n, '3', 'y'),
      step(4n, '4', 'ann'),
      step(5n, '5', 'z'),
    ];
    await store.transactEach(await claim(), steps, 'rows');
    expect(await sql('select id from {tables}.account order by id')).toEqual([{ id: '2' }, { id: '4' }]);
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

  it('park what cannot be recalled or read, first step or not, and know what is held', async () => {
    const { store, claim, sql } = await bundle(`
      create function {tables}.poison(balance bigint) returns boolean language plpgsql as $$
        begin if balance = 13 then raise exception 'no' using errcode = 'ZZ013'; end if; return true; end $$;
      alter table {tables}.note alter column "order" drop not null;
      insert into {tables}.note (name, "order") values ('void', null);
      insert into {tables}.account values (1, 1, 13), (2, 1, 1), (3, 1, 13);`);
    // A policy that raises stands for whatever may go wrong in reading one row; it does not bind the tables' owner by itself.
    await sql(`alter table {tables}.account enable row level security`);
    await sql(`alter table {tables}.account force row level security`);
    await sql(`create policy poison on {tables}.account using ({tables}.poison(balance))`);
    const [{ bypass } = {}] = await sql(
      `select rolbypassrls or rolsuper as bypass from pg_roles where rolname = current_user`,
    );
    const unreadable: BatchStep = stepOf(wanted({ notes: ['void'] }), (found, refusal) => {
      if (refusal !== null)
        return planThrough(4n, {
          parked: [parkedRow({ key: [...found.rows.keys()][0] ?? accountKey('?'), number: 1, failure: refusal })],
        });
      return planThrough(4n, { rows: [changeNote(found, 'void', firstState(found))] });
    });
    const steps = [
      depositStep(1n, '1', 1n),
      depositStep(2n, '2', 1n),
      depositStep(3n, '3', 1n),
      unreadable,
      depositStep(5n, '2', 1n),
    ];
    await store.transactEach(await claim(), steps, 'optimistic');
    const parked = await sql('select resource, sqlstate from {schema}.parked order by 1');
    expect(parked).toEqual([
      ...(bypass === true
        ? []
        : [
            { resource: 'account/1', sqlstate: 'ZZ013' },
            { resource: 'account/3', sqlstate: 'ZZ013' },
          ]),
      { resource: 'note/void', sqlstate: null },
    ]);
    expect(await sql('select next_position from {schema}.tenure where partition = 0')).toEqual([
      { next_position: '6' },
    ]);
  });

  it('park 10,000 culprits in one transaction, at least 1,000 a second', async () => {
    const { store, claim, sql } = await bundle();
    const steps = Array.from({ length: 10_000 }, (_, at) => depositStep(BigInt(at), String(at), -1n));
    const startedMs = performance.now();
    const done = await store.transactEach(await claim(), steps, 'optimistic');
    const ms = performance.now() - startedMs;
    expect(done.plans.every((plan: Plan) => plan.parked.length === 1)).toBe(true);
    expect(await sql('select count(*), count(distinct resource) as held from {schema}.hold')).toEqual([
      { count: '10000', held: '10000' },
    ]);
    console.log(`10,000 culprits took ${Math.round(ms)} ms`);
  });
});

function firstState(found: Recall): { readonly text: string; readonly parent: null } {
  const [row] = found.rows.values();
  return { text: JSON.stringify(row?.state), parent: null };
}

// Proves one batch's transaction: what is found, what is written, and what is left when it may not be.
import { afterEach, describe, expect, it } from 'vitest';
import { newCommandId, position, revision } from '../../../shared/command/identity.ts';
import {
  accountKey,
  AT,
  changeAccount,
  changeNote,
  deposit,
  hashOf,
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
  return (open = await storeBundle());
}
afterEach(async () => {
  await open?.db.close();
  open = undefined;
});

describe('a batch', () => {
  it('writes rows, ledger and position together, and the next one goes on from there', async () => {
    const { store, claim, sql } = await bundle();
    const tenure = await claim();
    const ledger = ledgerRow({ key: accountKey('1'), reply: '{"a":"\\u0000 \\"q\\" {,}"}' });
    const one = await store.transact(
      tenure,
      stepOf(wanted({ accounts: ['1'], ids: [ledger.id] }), (found) => {
        expect(found.rows.size).toBe(0);
        return planThrough(41n, { rows: [deposit(found, '1', 5n)], ledger: [ledger] });
      }),
      'optimistic',
    );
    expect(one.tenure).toMatchObject({
      commits: 1n,
      claims: 0,
      marker: null,
      resume: { next: 42n, last: { position: 41n, hash: hashOf(41n) }, commits: 1n },
    });
    await store.transact(
      one.tenure,
      stepOf(wanted({ accounts: ['1'], ids: [ledger.id, newCommandId()] }), (found) => {
        expect(found.known.get(ledger.id)).toEqual([{ key: ledger.key, content: ledger.content }]);
        expect(found.known.size).toBe(1);
        expect(found.rows.get(accountKey('1'))?.revision).toBe(1);
        return planThrough(42n, { rows: [deposit(found, '1', 7n)] });
      }),
      'optimistic',
    );
    expect(await sql('select id, revision, balance from {tables}.account')).toEqual([
      { id: '1', revision: '2', balance: '12' },
    ]);
    expect(
      await sql('select *, content = $1 as same from {schema}.ledger', [Buffer.from(ledger.content, 'hex')]),
    ).toMatchObject([
      {
        id: ledger.id,
        resource: 'account/1',
        partition: 0,
        at: AT,
        outcome: 'applied',
        revision: '1',
        reply: ledger.reply,
        same: true,
      },
    ]);
    expect(await sql('select * from {schema}.tenure where partition = 0')).toMatchObject([
      { next_position: '43', last_position: '42', commits: '2', claims: 0, last_appended_at: AT },
    ]);
  });

  it('keeps parked commands, holds and strays with their bytes, and finds them again', async () => {
    const { store, claim, sql } = await bundle();
    const key = accountKey('7');
    const conflict = newCommandId();
    const parked = [1, 2].map((number) =>
      parkedRow({
        key,
        number,
        position: position(number),
        failure: { code: 'decide-threw', detail: 'NUL \u0000 in it' },
      }),
    );
    const one = await store.transact(
      await claim(),
      stepOf(wanted({ accounts: ['7'] }), () =>
        planThrough(3n, { parked, strays: [strayRow(3n), strayRow(4n, { reason: 'id-conflict', id: conflict, key })] }),
      ),
      'optimistic',
    );
    await store.transact(
      one.tenure,
      stepOf(
        wanted({
          accounts: ['7'],
          ids: [conflict, ...parked.map((row) => row.id)],
          entries: [{ position: position(9), hash: hashOf(3n) }],
        }),
        (found) => {
          expect(found.holds.get(key)).toEqual({ nextNumber: 3 });
          expect([...found.known.keys()].sort()).toEqual(parked.map((row) => row.id).sort());
          expect(found.strays).toEqual(new Set([hashOf(3n), hashOf(4n)]));
          return planThrough(5n, { parked: [parkedRow({ key, number: 3 })], strays: [strayRow(5n)] });
        },
      ),
      'optimistic',
    );
    expect(await sql('select number, bytes, headers, detail from {schema}.parked order by number')).toMatchObject([
      {
        number: '1',
        bytes: Buffer.from('{"a":"\u0000"}'),
        headers: Buffer.from('{"onelane-layout":"1"}'),
        detail: 'NUL \ufffd in it',
      },
      { number: '2' },
      { number: '3' },
    ]);
    expect(await sql('select next_number, partition from {schema}.hold')).toEqual([{ next_number: '4', partition: 0 }]);
    expect(await sql('select number, position, bytes, reason from {schema}.stray order by number')).toMatchObject([
      { number: '1', position: '3', bytes: Buffer.from([0, 1, 255]), reason: 'unreadable' },
      { number: '2', reason: 'id-conflict' },
      { number: '3', position: '5' },
    ]);
    expect(await sql('select strays from {schema}.tenure where partition = 0')).toEqual([{ strays: '3' }]);
  });

  it('keeps the last revision of a deleted row, also of one that came and went within the batch', async () => {
    const { store, claim, sql } = await bundle();
    await sql(`insert into {tables}.account (id, revision) values (1, 9)`);
    const one = await store.transact(
      await claim(),
      stepOf(wanted({ accounts: ['1', '2'] }), (found) =>
        planThrough(1n, {
          rows: [
            changeAccount(found, '1', null),
            { ...changeAccount(found, '2', null), before: null, lastRevision: revision(2) },
          ],
        }),
      ),
      'optimistic',
    );
    expect(await sql('select * from {tables}.account')).toEqual([]);
    const two = await store.transact(
      one.tenure,
      stepOf(wanted({ accounts: ['1', '2'] }), (found) => {
        expect(Object.fromEntries(found.lastRevisions)).toEqual({ 'account/1': 10, 'account/2': 2 });
        return planThrough(2n, { rows: [deposit(found, '1', 1n)] });
      }),
      'optimistic',
    );
    expect(await sql('select id, revision from {tables}.account')).toEqual([{ id: '1', revision: '11' }]);
    await store.transact(
      two.tenure,
      stepOf(wanted({ accounts: ['1'] }), (found) => planThrough(3n, { rows: [changeAccount(found, '1', null)] })),
      'optimistic',
    );
    expect(await sql('select revision from {schema}.last_revision order by resource')).toEqual([
      { revision: '12' },
      { revision: '2' },
    ]);
  });

  it('leaves columns that are not mapped alone, and gives new rows their defaults', async () => {
    const { store, claim, sql } = await bundle();
    await sql(`insert into {tables}.note (name, "order", untouched) values ('a', 'x', 'kept')`);
    await store.transact(
      await claim(),
      stepOf(wanted({ notes: ['a', 'b "quoted" \\ {}'] }), (found) =>
        planThrough(1n, {
          rows: ['a', 'b "quoted" \\ {}'].map((name) => changeNote(found, name, { text: 'new\n"{}"\\', parent: null })),
        }),
      ),
      'optimistic',
    );
    expect(await sql('select * from {tables}.note order by name')).toEqual([
      { name: 'a', Changes: '1', order: 'new\n"{}"\\', parent: null, untouched: 'kept' },
      { name: 'b "quoted" \\ {}', Changes: '1', order: 'new\n"{}"\\', parent: null, untouched: 'as it was' },
    ]);
  });

  it('without an entry read leaves the position where it was', async () => {
    const { store, claim, sql } = await bundle();
    const one = await store.transact(
      await claim(),
      stepOf(wanted({}), () => planThrough(5n)),
      'optimistic',
    );
    const two = await store.transact(
      one.tenure,
      stepOf(wanted({}), () => planThrough(0n, { through: null, progress: 'no' })),
      'optimistic',
    );
    expect(two.tenure.resume).toEqual({ ...one.tenure.resume, commits: 2n });
    expect(await sql('select next_position, commits from {schema}.tenure where partition = 0')).toEqual([
      { next_position: '6', commits: '2' },
    ]);
  });

  it('with ledger rows far apart in time gets the partitions it needs, and keeps each as it was', async () => {
    const { store, claim, sql } = await bundle();
    const ledger = ['2026-01-01T00:00:00.001Z', '2020-01-01T10:20:30.999Z', '2031-12-31T23:59:59.000Z'].map((at, nth) =>
      ledgerRow({
        key: accountKey(`${nth}`),
        at: new Date(at),
        ...(nth === 1 ? { outcome: 'rejected', code: 'no', detail: 'not "now", {}\\' } : { reply: '{"nth":1}' }),
      }),
    );
    await store.transact(
      await claim(),
      stepOf(wanted({}), () => planThrough(5n, { ledger })),
      'optimistic',
    );
    const stored = await sql(
      `select id, resource as key, encode(content, 'hex') as content, at, outcome, revision::integer, code, detail, reply
       from {schema}.ledger order by resource`,
    );
    expect(stored).toEqual(ledger);
  });

  it('plans again after somebody dropped a ledger partition that we knew of', async () => {
    const { store, claim, sql } = await bundle();
    const plan = () => planThrough(5n, { ledger: [ledgerRow({ key: accountKey('1') })] });
    const one = await store.transact(await claim(), stepOf(wanted({}), plan), 'optimistic');
    const [partition] = await sql(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = '{schema}.ledger'::regclass`,
    );
    await sql(`drop table ${String(partition?.['name'])}`);
    await expect(store.transact(one.tenure, stepOf(wanted({}), plan), 'optimistic')).rejects.toMatchObject({
      code: '23514',
    });
    await store.transact(one.tenure, stepOf(wanted({}), plan), 'optimistic');
    expect(await sql('select count(*) from {schema}.ledger')).toEqual([{ count: '1' }]);
  });
});

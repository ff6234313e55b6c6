// Proves claiming and the fence: who may write, who waits, and who is ended.
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { DatabaseWentBack, TenureLost } from '../../../consumers/lane/batch-store.ts';
import { LeaseTable } from '../../../consumers/leases/lease-table.ts';
import { newUuid } from '../../../shared/command/identity.ts';
import { answerThief } from '../../support/answer-thief.ts';
import { openLanePool } from '../../../shared/postgres/database.ts';
import {
  accountKey,
  deposit,
  hashOf,
  ledgerRow,
  planThrough,
  stepOf,
  storeBundle,
  wanted,
  type StoreBundle,
} from '../../support/store-bundle.ts';

let open: StoreBundle | undefined;
let closeThief: (() => Promise<void>) | undefined;
async function bundle(): Promise<StoreBundle> {
  return (open = await storeBundle({ lanePoolMax: 3 }));
}
afterEach(async () => {
  await closeThief?.();
  closeThief = undefined;
  await open?.db.close();
  open = undefined;
});

const nothing = () => stepOf(wanted({}), () => planThrough(1n));
const lendOne = () =>
  stepOf(wanted({ accounts: ['1'] }), (found) => planThrough(1n, { rows: [deposit(found, '1', 1n)] }));

describe('a claim', () => {
  it('raises the epoch and counts, and keeps the position', async () => {
    const { store, claim, sql } = await bundle();
    const first = await claim();
    expect(first).toMatchObject({
      epoch: 1n,
      commits: 0n,
      claims: 1,
      marker: null,
      resume: { next: null, last: null },
    });
    await store.transact(
      first,
      stepOf(wanted({}), () => planThrough(9n)),
      'optimistic',
    );
    await sql(`update {schema}.tenure set halted_code = 'x', halted_detail = 'y', halted_at = now()`);
    const second = await claim();
    expect(second).toMatchObject({ epoch: 2n, commits: 1n, claims: 1 });
    expect(second.resume).toEqual({ next: 10n, last: { position: 9n, hash: hashOf(9n) }, commits: 1n });
    expect((await claim()).claims).toBe(2);
    expect(await sql('select halted_code, contract_hash from {schema}.tenure where partition = 0')).toEqual([
      { halted_code: null, contract_hash: 'test' },
    ]);
  });

  it('takes the tenure from a holder that works: the old one writes nothing any more', async () => {
    const { store, claim, sql } = await bundle();
    const old = await claim();
    const young = await claim();
    for (const act of [
      () => store.transact(old, lendOne(), 'optimistic'),
      () => store.transactEach(old, [lendOne()], 'rows'),
      () => store.mark(old, hashOf(1n)),
      () => store.release(old),
    ]) {
      await expect(act()).rejects.toThrow(TenureLost);
    }
    expect(await sql('select * from {tables}.account')).toEqual([]);
    expect((await store.transact(young, lendOne(), 'optimistic')).tenure.commits).toBe(1n);
  });

  it('waits for a commit in flight and goes on from its position', async () => {
    const { store, claim } = await bundle();
    const old = await claim();
    let young: ReturnType<typeof claim> | undefined;
    const step = {
      ...stepOf(wanted({ accounts: ['1'] }), (found) => planThrough(77n, { rows: [deposit(found, '1', 1n)] })),
      beforeCommit: async () => {
        young = claim();
        await blockedSession(open);
      },
    };
    await store.transact(old, step, 'optimistic');
    expect((await young)?.resume.last?.position).toBe(77n);
  });

  it('ends the session of a holder that stands still, and tells', async () => {
    const { store, claim, events, sql } = await bundle();
    const old = await claim();
    let wake = (): void => undefined;
    const frozen = store.transact(
      old,
      stepOf(wanted({ accounts: ['1'] }), async (found) => {
        await new Promise<void>((resolve) => (wake = resolve));
        return planThrough(1n, { rows: [deposit(found, '1', 1n)] });
      }),
      'optimistic',
    );
    const died = expect(frozen).rejects.toThrow();
    await openTransactions(open, 1);
    const startedMs = performance.now();
    const young = await claim();
    expect(performance.now() - startedMs).toBeGreaterThan(3_500);
    expect(performance.now() - startedMs).toBeLessThan(8_000);
    expect(events).toContainEqual(expect.objectContaining({ kind: 'holder-terminated', partition: 0 }));
    wake();
    await died;
    expect(await sql('select * from {tables}.account')).toEqual([]);
    await store.transact(young, lendOne(), 'optimistic');
  });

  it('ends nobody who is not a lane', async () => {
    const { db, claim, events } = await bundle();
    const stranger = new pg.Client({ connectionString: db.url });
    await stranger.connect();
    try {
      await stranger.query(`begin; select * from "${db.schema}".tenure for update`);
      const waiting = claim();
      await blockedSession(open);
      // Past the moment at which a lane would have been ended.
      await stranger.query('select pg_sleep(6.5)');
      expect(events).toEqual([]);
      await stranger.query('rollback');
      expect((await waiting).epoch).toBe(1n);
    } finally {
      await stranger.end();
    }
  });
});

describe('the fence', () => {
  it('notices that the database lost commits, and that it lost the claim itself', async () => {
    const { store, claim, sql } = await bundle();
    const one = await store.transact(await claim(), nothing(), 'optimistic');
    const two = await store.transact(one.tenure, nothing(), 'optimistic');
    await sql('update {schema}.tenure set commits = commits - 1');
    for (const act of [
      () => store.transact(two.tenure, lendOne(), 'optimistic'),
      () => store.mark(two.tenure, hashOf(1n)),
      () => store.release(two.tenure),
    ]) {
      await expect(act()).rejects.toThrow(DatabaseWentBack);
    }
    await sql('update {schema}.tenure set epoch = 0, owner = null');
    await expect(store.transact(two.tenure, lendOne(), 'optimistic')).rejects.toThrow(DatabaseWentBack);
    expect(await sql('select * from {tables}.account')).toEqual([]);
  });

  it('tells two holders apart who got the same epoch, before and after the database went back', async () => {
    const { store, claim, sql } = await bundle();
    const tenure = await claim();
    await sql('update {schema}.tenure set owner = gen_random_uuid()');
    await expect(store.transact(tenure, lendOne(), 'optimistic')).rejects.toThrow(TenureLost);
    await expect(store.mark(tenure, hashOf(1n))).rejects.toThrow(TenureLost);
    await expect(store.release(tenure)).rejects.toThrow(TenureLost);
  });

  it('takes a count that is ahead for no reason as a tenure lost', async () => {
    const { store, claim, sql } = await bundle();
    const tenure = await claim();
    await sql('update {schema}.tenure set commits = commits + 1');
    await expect(store.transact(tenure, lendOne(), 'optimistic')).rejects.toThrow(TenureLost);
    await expect(store.mark(tenure, hashOf(1n))).rejects.toThrow(TenureLost);
  });

  it('sees what was committed while it waited', async () => {
    const { store, claim, db } = await bundle();
    const tenure = await claim();
    const other = new pg.Client({ connectionString: db.url });
    await other.connect();
    try {
      await other.query(`begin; select * from "${db.schema}".tenure for update`);
      const waiting = store.transact(
        tenure,
        stepOf(wanted({ accounts: ['1'] }), (found) => {
          expect(found.rows.get(accountKey('1'))?.state).toEqual({ balance: 42n, owner: null });
          return planThrough(1n);
        }),
        'optimistic',
      );
      await blockedSession(open);
      await other.query(`insert into "${db.tables}".account (id, balance) values (1, 42); commit`);
      await waiting;
    } finally {
      await other.end();
    }
  });
});

describe('a COMMIT whose answer was lost', () => {
  it('gives the same work what it committed, and anything else a lost tenure', async () => {
    const { store, thief, claim, sql, another } = await withThief();
    const tenure = await claim(store);
    const ledger = ledgerRow({ key: accountKey('1') });
    let plans = 0;
    const step = stepOf(wanted({ accounts: ['1'], ids: [ledger.id] }), (found) => {
      plans++;
      return planThrough(5n, { rows: [deposit(found, '1', 1n)], ledger: [ledger] });
    });
    thief.stealNextCommit();
    await expect(store.transact(tenure, step, 'optimistic')).rejects.toThrow('Connection terminated');
    expect(await sql('select balance from {tables}.account')).toEqual([{ balance: '1' }]);
    await expect(another().transact(tenure, step, 'optimistic')).rejects.toThrow(TenureLost);
    await expect(store.transact(tenure, lendOne(), 'optimistic')).rejects.toThrow(TenureLost);
    const again = await store.transact(tenure, step, 'optimistic');
    expect(plans).toBe(1);
    expect(again).toMatchObject({ plans: [{ ledger: [ledger] }], tenure: { commits: 1n, resume: { next: 6n } } });
    await store.transact(again.tenure, lendOne(), 'optimistic');
    expect(await sql('select balance, revision from {tables}.account')).toEqual([{ balance: '2', revision: '2' }]);
  });

  it('gives single steps theirs', async () => {
    const { store, thief, claim, sql } = await withThief();
    const tenure = await claim(store);
    const steps = ['1', '2'].map((id) =>
      stepOf(wanted({ accounts: [id] }), (found) => planThrough(BigInt(id), { rows: [deposit(found, id, 1n)] })),
    );
    thief.stealNextCommit();
    await expect(store.transactEach(tenure, steps, 'optimistic')).rejects.toThrow('Connection terminated');
    expect((await store.transactEach(tenure, steps, 'optimistic')).plans).toHaveLength(2);
    expect(await sql('select balance from {tables}.account')).toEqual([{ balance: '1' }, { balance: '1' }]);
  });

  it('does no harm to a mark, a release or a claim', async () => {
    const { store, thief, claim, sql } = await withThief();
    thief.stealNextCommit();
    await expect(claim(store)).rejects.toThrow('Connection terminated');
    const tenure = await claim(store);
    expect(tenure.epoch).toBe(2n);
    thief.stealNextCommit();
    await expect(store.mark(tenure, hashOf(3n))).rejects.toThrow('Connection terminated');
    const marked = await store.mark(tenure, hashOf(3n));
    expect(marked).toMatchObject({ commits: 1n, marker: { entry: hashOf(3n), deaths: 0 } });
    thief.stealNextCommit();
    await expect(store.transact(marked, nothing(), 'optimistic')).rejects.toThrow('Connection terminated');
    await store.release(marked);
    expect(await sql('select owner, marker from {schema}.tenure where partition = 0')).toEqual([
      { owner: null, marker: null },
    ]);
  });
});

async function withThief() {
  const made = await bundle();
  const thief = await answerThief(made.db.url);
  const lanePool = openLanePool({ url: thief.url, schema: made.db.schema }, 2);
  closeThief = async () => {
    await lanePool.end();
    await thief.close();
  };
  return { ...made, thief, store: made.another(lanePool) };
}

describe('a marker', () => {
  it('counts the deaths of its entry alone, and progress clears it', async () => {
    const { another, claim } = await bundle();
    await another().mark(await claim(another()), hashOf(1n));
    await claim(another());
    const store = another();
    const third = await claim(store);
    expect(third).toMatchObject({ claims: 3, marker: { entry: hashOf(1n), deaths: 2 } });
    expect((await store.mark(third, hashOf(1n))).marker).toEqual({ entry: hashOf(1n), deaths: 2 });
    const fourth = await claim(another());
    expect(fourth.marker).toEqual({ entry: hashOf(1n), deaths: 3 });
    const marked = await store.mark(fourth, hashOf(2n));
    expect(marked.marker).toEqual({ entry: hashOf(2n), deaths: 0 });
    const suspicious = await store.transact(
      marked,
      stepOf(wanted({}), () => planThrough(1n, { progress: 'no' })),
      'optimistic',
    );
    expect(suspicious.tenure).toMatchObject({ claims: 4, marker: { entry: hashOf(2n), deaths: 0 } });
    expect(await claim(another())).toMatchObject({ claims: 5, marker: { entry: hashOf(2n), deaths: 1 } });
    const fine = await store.transact(await claim(), nothing(), 'optimistic');
    expect(fine.tenure).toMatchObject({ claims: 0, marker: null });
    expect(await claim()).toMatchObject({ claims: 1, marker: null });
  });

  it('counts no death when the holder that could not give its tenure back claims again', async () => {
    const { another, claim, store: dead } = await bundle();
    await dead.mark(await claim(dead), hashOf(1n));
    const store = another();
    expect((await claim(store)).marker).toEqual({ entry: hashOf(1n), deaths: 1 });
    for (const claims of [3, 4, 5]) {
      expect(await claim(store)).toMatchObject({ claims, marker: { entry: hashOf(1n), deaths: 1 } });
    }
    expect((await claim(another())).marker).toEqual({ entry: hashOf(1n), deaths: 2 });
  });

  it('counts a consumer as dead only until it renews its membership', async () => {
    const { db, another, claim, sql } = await bundle();
    const [silent, dead] = [newUuid(), newUuid()];
    await another(db.lanePool, silent).mark(await claim(another(db.lanePool, silent)), hashOf(1n));
    await claim(another(db.lanePool, dead));
    const store = another();
    const tenure = await claim(store);
    expect(tenure.marker).toEqual({ entry: hashOf(1n), deaths: 2 });
    const client = new pg.Client({ connectionString: db.database.url });
    await client.connect();
    const about = { schema: db.database.schema, me: { id: silent, host: 'here', pid: 1 }, leaseMs: 4_000 };
    await new LeaseTable(client, { ...about, hasStoodStill: true }).renewMember();
    expect(await store.deaths(tenure)).toBe(2);
    await new LeaseTable(client, about).renewMember();
    await client.end();
    expect(await store.deaths(tenure)).toBe(1);
    expect(await sql('select marker_dead from {schema}.tenure where partition = 0')).toEqual([{ marker_dead: [dead] }]);
    expect((await claim(another())).marker).toMatchObject({ deaths: 2 });
    expect(await store.deaths(tenure)).toBe(0);
  });

  it('counts no death after a claim whose answer was lost', async () => {
    const { store, thief, claim } = await withThief();
    await store.mark(await claim(store), hashOf(1n));
    thief.stealNextCommit();
    await expect(claim(store)).rejects.toThrow('Connection terminated');
    expect((await claim(store)).marker).toEqual({ entry: hashOf(1n), deaths: 0 });
  });

  it('outlives a release without progress, which counts no death and takes back what its claim had counted', async () => {
    const { another, claim, store } = await bundle();
    await another().mark(await claim(another()), hashOf(1n));
    for (const giver of [another(), another(), another()]) {
      const tenure = await claim(giver);
      expect(tenure).toMatchObject({ claims: 2, marker: { entry: hashOf(1n), deaths: 1 } });
      await giver.release(tenure);
    }
    const marked = await store.mark(await claim(), hashOf(1n));
    await store.release((await store.transact(marked, nothing(), 'optimistic')).tenure);
    expect(await claim()).toMatchObject({ claims: 1, marker: null });
  });
});

/** Resolves when some session of this database waits for a lock on our tenure row. */
async function blockedSession(of: StoreBundle | undefined): Promise<void> {
  await until(
    of,
    `select count(*) as count from pg_stat_activity where wait_event_type = 'Lock' and query like '%{schema}.tenure%'`,
    1,
  );
}

/** Resolves when so many lane sessions stand in an open transaction on our tables. */
async function openTransactions(of: StoreBundle | undefined, count: number): Promise<void> {
  await until(
    of,
    `select count(*) as count from pg_stat_activity where state = 'idle in transaction' and query like '%{tables}%'`,
    count,
  );
}

async function until(of: StoreBundle | undefined, query: string, atLeast: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const [row] = (await of?.sql(query)) ?? [];
    if (Number(row?.['count']) >= atLeast) return;
    await of?.sql('select pg_sleep(0.01)');
  }
  throw new Error(`never happened: ${query}`);
}

// What callers and operators read: outcomes as they were stored, and bounded counts of what is set aside.
import { afterEach, describe, expect, it } from 'vitest';
import { newCommandId, newUuid, type CommandId } from '../../../shared/command/identity.ts';
import { ensureLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import { readOutcomes } from '../../../shared/postgres/ledger-reads.ts';
import { readConsumers, readHeld, readPartitions, readSetAside } from '../../../shared/postgres/status-reads.ts';
import { freshDatabase, type TestDatabase } from '../../support/database.ts';

const opened: TestDatabase[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

const CONTENT = 'ab'.repeat(32);

async function bundle() {
  const db = await freshDatabase({ partitions: 2 });
  opened.push(db);
  const now = new Date();
  await ensureLedgerPartitions(db.database, now, now, 86_400_000);
  const { pool } = db.database;
  const settle = (id: CommandId, resource: string, row: Readonly<Record<string, unknown>>) =>
    pool.query(
      `insert into ${db.schema}.ledger (id, resource, content, partition, at, outcome, revision, code, detail, reply)
       values ($1, $2, decode($3, 'hex'), 0, $4, $5, $6, $7, $8, $9)`,
      [id, resource, CONTENT, now, row['outcome'], row['revision'] ?? 1, row['code'], row['detail'], row['reply']],
    );
  const park = (id: CommandId, resource: string, number: number) =>
    pool.query(
      `insert into ${db.schema}.parked (resource, number, id, content, partition, position, bytes, headers, appended_at, code, detail)
       values ($1, $2, $3, decode($4, 'hex'), 0, 7, '', '', now(), 'decide-threw', 'boom')`,
      [resource, number, id, CONTENT],
    );
  return { ...db, pool, settle, park };
}

describe('outcomes', () => {
  it('each kind comes back as it was stored; unknown ids are missing', async () => {
    const { database, settle, park } = await bundle();
    const [applied, plain, rejected, discarded, parked] = Array.from({ length: 5 }, newCommandId);
    if (!applied || !plain || !rejected || !discarded || !parked) throw new Error('five ids were made');
    const reply = '{"text":"a\\u0000b","big":12345678901234567890}';
    await settle(applied, 'a/1', { outcome: 'applied', revision: 7, reply });
    await settle(plain, 'a/1', { outcome: 'applied', revision: 8 });
    await settle(rejected, 'a/2', { outcome: 'rejected', revision: 3, code: 'overdrawn', detail: 'no' });
    await settle(discarded, 'a/3', { outcome: 'discarded', detail: 'by an operator' });
    await park(parked, 'a/4', 2);
    const found = await readOutcomes(database, [applied, plain, rejected, discarded, parked, newCommandId()]);
    expect(found).toHaveLength(5);
    expect(new Map(found.map((each) => [each.id, { key: each.key, content: each.content, ...each.outcome }]))).toEqual(
      new Map<string, unknown>([
        [applied, { key: 'a/1', content: CONTENT, kind: 'applied', revision: 7, reply: JSON.parse(reply) }],
        [plain, { key: 'a/1', content: CONTENT, kind: 'applied', revision: 8, reply: null }],
        [rejected, { key: 'a/2', content: CONTENT, kind: 'rejected', revision: 3, code: 'overdrawn', detail: 'no' }],
        [discarded, { key: 'a/3', content: CONTENT, kind: 'discarded', detail: 'by an operator' }],
        [parked, { key: 'a/4', content: CONTENT, kind: 'parked', code: 'decide-threw', detail: 'boom', number: 2 }],
      ]),
    );
  });

  it('an id that two resources used has an outcome for each, and no ids cost no query', async () => {
    const { database, settle, park } = await bundle();
    const id = newCommandId();
    await settle(id, 'a/1', { outcome: 'applied' });
    await park(id, 'a/2', 1);
    expect((await readOutcomes(database, [id])).map((each) => each.key).sort()).toEqual(['a/1', 'a/2']);
    expect(await readOutcomes(database, [])).toEqual([]);
  });
});

describe('status', () => {
  it('a fresh system has partitions that nobody holds', async () => {
    const { database } = await bundle();
    const nobody = {
      epoch: 0n,
      owner: null,
      next: null,
      lastAppendedAt: null,
      commits: 0n,
      claims: 0,
      halted: null,
      lease: null,
    };
    expect(await readPartitions(database)).toMatchObject([
      { partition: 0, ...nobody },
      { partition: 1, ...nobody },
    ]);
    expect(await readConsumers(database)).toEqual([]);
    expect(await readSetAside(database)).toEqual({ parked: 0, holds: 0, strays: 0, oldestHoldSince: null });
  });

  it('holders, leases and halts are shown, and a dead consumer as expired without its partitions', async () => {
    const { database, pool, schema } = await bundle();
    const [alive, dead] = [newUuid(), newUuid()];
    await pool.query(
      `insert into ${schema}.consumer (id, host, pid, started_at, expires_at)
       values ($1, 'h', 1, now() - interval '1 h', now() + interval '1 h'), ($2, 'h', 2, now(), now() - interval '1 s')`,
      [alive, dead],
    );
    await pool.query(
      `update ${schema}.lease set consumer = c.id, expires_at = c.expires_at
       from (select id, expires_at, pid - 1 as partition from ${schema}.consumer) c where lease.partition = c.partition`,
    );
    await pool.query(
      `update ${schema}.tenure set epoch = 3, owner = $1, commits = 12, next_position = 9, halted_code = 'log-diverged', halted_detail = 'x',
         halted_at = now() where partition = 1`,
      [dead],
    );
    expect(await readConsumers(database)).toMatchObject([
      { id: alive, isExpired: false, partitions: [0] },
      { id: dead, isExpired: true, partitions: [] },
    ]);
    expect(await readPartitions(database)).toMatchObject([
      { partition: 0, lease: { consumer: alive, isExpired: false }, halted: null },
      {
        partition: 1,
        epoch: 3n,
        commits: 12n,
        next: 9n,
        owner: dead,
        lease: { isExpired: true },
        halted: { code: 'log-diverged' },
      },
    ]);
  });

  it('held resources are shown with what holds them, the longest held first, and no more than asked for', async () => {
    const { database, pool, schema, park } = await bundle();
    const [first, second, other] = [newCommandId(), newCommandId(), newCommandId()];
    await park(second, 'a/1', 4);
    await park(first, 'a/1', 3);
    await park(other, 'a/2', 1);
    const hold = (resource: string, since: Date) =>
      pool.query(`insert into ${schema}.hold (resource, partition, since) values ($1, 1, $2)`, [resource, since]);
    const [early, later] = [new Date('2026-11-01T00:00:00Z'), new Date('2026-11-02T00:00:00Z')];
    await hold('a/2', later);
    await hold('a/1', early);
    await hold('a/3', new Date('2026-11-03T00:00:00Z'));
    const blocker = { code: 'decide-threw', detail: 'boom' };
    expect(await readHeld(database, 2)).toEqual([
      { resource: 'a/1', partition: 1, since: early, blocker: { id: first, ...blocker }, behind: 1 },
      { resource: 'a/2', partition: 1, since: later, blocker: { id: other, ...blocker }, behind: 0 },
    ]);
    expect((await readHeld(database, 10))[2]).toMatchObject({ resource: 'a/3', blocker: null, behind: 0 });
  });

  it('what is set aside is counted', async () => {
    const { database, pool, schema, park } = await bundle();
    await park(newCommandId(), 'a/1', 1);
    await park(newCommandId(), 'a/1', 2);
    const since = new Date('2026-11-01T00:00:00Z');
    await pool.query(`insert into ${schema}.hold (resource, partition, since) values ('a/1', 0, $1)`, [since]);
    expect(await readSetAside(database)).toEqual({ parked: 2, holds: 1, strays: 0, oldestHoldSince: since });
  });
});

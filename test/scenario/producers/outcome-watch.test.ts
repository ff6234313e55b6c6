// Proves that waiting costs one read for all, whoever waits, and that outcomes come by hint, by poll and from a lane next door.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openOutcomeWatch, type OutcomeWatch, type WatchLimits } from '../../../producers/outcome-watch.ts';
import { isFault } from '../../../producers/fault.ts';
import { openSeal, type Sealed } from '../../../producers/seal.ts';
import type { Sought } from '../../../producers/judge.ts';
import { partition, position, revision } from '../../../shared/command/identity.ts';
import type { Database } from '../../../shared/postgres/database.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { createMemoryLog, type MemoryLog } from '../../../shared/transport/memory/index.ts';
import { freshDatabase, type TestDatabase } from '../../support/database.ts';
import { ACCOUNT_SQL, testTypes } from '../../support/producers/account-type.ts';
import { ledgerFromTodayOn } from '../../support/producers/http-bundle.ts';
import { pretendLane, type PretendLane } from '../../support/producers/pretend-lane.ts';

let db: TestDatabase;
let log: MemoryLog;
let lane: PretendLane;
let watch: OutcomeWatch | null;
let queries: string[];
beforeEach(async () => {
  db = await freshDatabase({ partitions: 1, sql: ACCOUNT_SQL });
  await ledgerFromTodayOn(db.database);
  log = createMemoryLog({ partitions: 1 });
  lane = pretendLane(db.database, log);
  watch = null;
  queries = [];
});
afterEach(async () => {
  await watch?.close();
  await db.close();
});

/** The same database, whose queries through the watch are counted. */
function counted(): Database {
  const pool = new Proxy(db.database.pool, {
    get: (target, name) => {
      if (name !== 'query') return Reflect.get(target, name);
      return (query: { readonly name?: string }) => {
        queries.push(query.name ?? '');
        return target.query(query as never);
      };
    },
  });
  return { ...db.database, pool };
}

function open(limits: Partial<WatchLimits> = {}): OutcomeWatch {
  watch = openOutcomeWatch({
    database: counted(),
    observe: () => undefined,
    clock: systemClock,
    limits: { pollMs: 60_000, ...limits },
  });
  return watch;
}

function append(subjects: readonly string[]): readonly Sought[] {
  const seal = openSeal({ types: testTypes('t'), system: db.system, now: () => new Date() });
  const sealed = subjects.map((subject): Sealed => {
    const made = seal({ type: 'account.deposit', subject, data: { amount: 1 } });
    return isFault(made) ? expect.unreachable(made.detail) : made;
  });
  const results = log.append(sealed, new Date());
  return sealed.map((each, at) => {
    const stored = results[at];
    return {
      id: each.id,
      key: each.key,
      content: each.content,
      partition: each.partition,
      position: stored?.kind === 'stored' ? stored.position : null,
    };
  });
}

const many = (count: number) => Array.from({ length: count }, (_, at) => String(at));
const LONG = { waitMs: 30_000, begun: 'before-publish' } as const;

describe('waiting', () => {
  it('of a thousand callers costs a few reads, none per caller', async () => {
    const opened = open();
    const waiting = append(many(1_000)).map((sought) => opened.wait(sought, LONG)?.seen);
    await lane.pass();
    const seen = await Promise.all(waiting);
    expect(new Set(seen.map((each) => each?.kind))).toEqual(new Set(['outcome']));
    expect(queries.length).toBeLessThan(20);
    expect(opened.waiters()).toBe(0);
  });

  it('reads nothing for those whom the lane has not reached', async () => {
    const opened = open();
    const [first, ...rest] = append(many(100));
    if (first === undefined) return expect.unreachable('a hundred');
    await lane.pass();
    const behind = rest.map((sought) => opened.wait({ ...sought, position: position(1_000) }, LONG));
    const reads = () => queries.filter((name) => name === 'onelane-outcomes').length;
    const found = await opened.wait(first, { waitMs: 30_000, begun: 'after-publish' })?.seen;
    expect(found?.kind).toBe('outcome');
    const before = reads();
    await db.database.pool.query(`select pg_notify($1, '0')`, [`${db.schema}_outcomes`]);
    await expect.poll(() => queries.filter((name) => name === 'onelane-reached').length).toBeGreaterThan(0);
    expect(reads() - before).toBeLessThanOrEqual(1);
    for (const each of behind) each?.cancel();
  });

  it('hears a lane of the same process without any read', async () => {
    const opened = open();
    const [sought, other] = append(['1', '2']);
    if (sought?.key == null || sought.content === null || other === undefined) return expect.unreachable('two');
    const waiting = opened.wait(sought, LONG);
    const still = opened.wait(other, LONG);
    const recorded = {
      id: sought.id,
      key: sought.key,
      content: sought.content,
      outcome: { kind: 'applied', revision: revision(1), reply: null },
    } as const;
    opened.committed({ partition: 0, others: 'none', outcomes: () => [recorded] });
    expect(await waiting?.seen).toEqual({ kind: 'outcome', recorded });
    expect(opened.waiters()).toBe(1);
    expect(queries).toEqual([]);
    still?.cancel();
  });

  it('asks a lane of the same process for nothing when nobody waits there', () => {
    const opened = open();
    opened.committed({ partition: 0, others: 'none', outcomes: () => expect.unreachable('nobody waits') });
  });

  it('reads when a lane of the same process has met repeats', async () => {
    const opened = open();
    const [sought] = append(['1']);
    if (sought === undefined) return expect.unreachable('one');
    await lane.pass(undefined, 'without-hint');
    const waiting = opened.wait(sought, LONG);
    opened.committed({ partition: 0, others: 'some', outcomes: () => [] });
    expect((await waiting?.seen)?.kind).toBe('outcome');
  });

  it('ends at its time, at a cancel, and at the close, with nobody left', async () => {
    const opened = open();
    const sought = append(['1', '2', '3']);
    const [short, cancelled, closed] = sought.map((each, at) =>
      opened.wait(each, at === 0 ? { ...LONG, waitMs: 30 } : LONG),
    );
    expect((await short?.seen)?.kind).toBe('pending');
    cancelled?.cancel();
    expect((await cancelled?.seen)?.kind).toBe('pending');
    await opened.close();
    expect((await closed?.seen)?.kind).toBe('pending');
    expect(opened.waiters()).toBe(0);
  });

  it('is bounded', () => {
    const opened = open({ waiters: 2 });
    const [a, b, c] = append(['1', '2', '3']);
    if (a === undefined || b === undefined || c === undefined) return expect.unreachable('three');
    expect(opened.wait(a, LONG)).not.toBe(null);
    expect(opened.wait(b, LONG)).not.toBe(null);
    expect(opened.wait(c, LONG)).toBe(null);
    expect(opened.look(c)).toBe(null);
  });

  it('in another partition is not disturbed by a hint', async () => {
    const opened = open();
    const [sought, sign] = append(['1', '2']);
    if (sought === undefined || sign === undefined) return expect.unreachable('two');
    // A listener that has just connected looks for everybody: first it must have done so.
    const signed = opened.wait(sign, LONG);
    await lane.pass();
    expect((await signed?.seen)?.kind).toBe('outcome');
    const elsewhere = opened.wait({ ...sought, partition: partition(7) }, LONG);
    const [third] = append(['3']);
    const here = third === undefined ? null : opened.wait(third, LONG);
    await lane.pass();
    expect((await here?.seen)?.kind).toBe('outcome');
    expect(opened.waiters()).toBe(1);
    elsewhere?.cancel();
  });
});

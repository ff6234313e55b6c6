// Proves that leases which follow say who has which lane open, on a real server, and that nothing but the saying rests on them.
import { afterEach, expect, test } from 'vitest';
import { openFollowingLeases } from '../../../consumers/leases/following-leases.ts';
import { partition, type Partition } from '../../../shared/command/identity.ts';
import { readConsumers, readPartitions } from '../../../shared/postgres/status-reads.ts';
import { Latest } from '../../../shared/process/latest.ts';
import { LeaseParty, type Guest } from '../../support/consumers/lease-party.ts';
import { WorkerParty } from '../../support/consumers/worker-party.ts';
import type { TestDatabase } from '../../support/database.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const SHORT = { leaseMs: 1_200, renewMs: 300, drainMs: 500 };
const [p0, p1, p2, p3] = [partition(0), partition(1), partition(2), partition(3)];
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** What an operator is shown, with names for ids. */
function reading({ database }: TestDatabase, names: () => ReadonlyMap<string, string>) {
  const holders = async () =>
    (await readPartitions(database)).map(({ lease }) =>
      lease === null || lease.isExpired ? '-' : (names().get(lease.consumer) ?? lease.consumer),
    );
  const consumers = async () =>
    new Map((await readConsumers(database)).map((each) => [names().get(each.id) ?? each.id, each.partitions]));
  /** Long enough for several turns of everybody. */
  const turns = () => database.pool.query('select pg_sleep(1)');
  return { holders, consumers, turns };
}

async function bundle() {
  const party = await LeaseParty.open(4);
  closing.push(() => party.close());
  const shown = reading(party.database, () => new Map(party.guests.map(({ id, name }) => [id, name])));
  const arrive = (name: string, url = party.database.url) =>
    party.arrive(name, { open: openFollowingLeases, times: SHORT, url });
  const gated = async (name: string) => {
    const gate = await openTcpGate(party.database.url);
    closing.unshift(() => gate.close());
    return { guest: await arrive(name, gate.url), gate };
  };
  return { party, arrive, gated, ...shown };
}

function open({ leases }: Guest, ...partitions: readonly Partition[]): void {
  for (const each of partitions) leases.laneOpened(each);
}

/** As soon as it holds; the limit is for slow machines. */
const eventually = <T>(read: () => T | Promise<T>) => expect.poll(read, { timeout: 10_000 });
const kindsOf = (guest: Guest) => guest.events.map((event) => event.kind);

test('the rows say who has which lane open, members are listed without lanes, too, and nobody shares anything out', async () => {
  const { arrive, holders, consumers, turns } = await bundle();
  const a = await arrive('a');
  const b = await arrive('b');
  const c = await arrive('c');
  open(a, p0, p1, p2);
  open(b, p3);
  await eventually(holders).toEqual(['a', 'a', 'a', 'b']);
  await eventually(() => [a, b, c].every(({ leases }) => leases.status().consumers === 3)).toBe(true);
  await turns();
  expect(await holders()).toEqual(['a', 'a', 'a', 'b']);
  expect(await consumers()).toEqual(new Map(Object.entries({ a: [0, 1, 2], b: [3], c: [] })));
  // A turn may have failed on a busy machine; the next one does not.
  await eventually(() => c.leases.status()).toEqual({ isMember: true, held: [], leaving: [], consumers: 3 });
  expect(a.events.at(-1)).toEqual({ kind: 'leases-changed', held: [0, 1, 2], consumers: 3 });
});

test('the newest lane has the row, also while the one before it is still open, and gives it up when it ends', async () => {
  const { arrive, holders, turns } = await bundle();
  const a = await arrive('a');
  const b = await arrive('b');
  open(a, p0, p1);
  await eventually(holders).toEqual(['a', 'a', '-', '-']);
  open(b, p0);
  await eventually(holders).toEqual(['b', 'a', '-', '-']);
  await turns();
  expect(await holders()).toEqual(['b', 'a', '-', '-']);
  expect(a.leases.status().held).toEqual([p1]);
  expect(a.leases.isSafe(p0)).toBe(true);
  expect(kindsOf(a)).not.toContain('lease-lost');
  a.leases.laneReleased(p0);
  await turns();
  expect(await holders()).toEqual(['b', 'a', '-', '-']);
  b.leases.laneReleased(p0);
  await eventually(holders).toEqual(['-', 'a', '-', '-']);
});

test('whoever still has a lane open when a newer one ends is shown again', async () => {
  const { arrive, holders } = await bundle();
  const a = await arrive('a');
  const b = await arrive('b');
  open(a, p0);
  await eventually(holders).toEqual(['a', '-', '-', '-']);
  open(b, p0);
  await eventually(holders).toEqual(['b', '-', '-', '-']);
  b.leases.laneReleased(p0);
  await eventually(holders).toEqual(['a', '-', '-', '-']);
});

test('a lane that is opened anew takes the row anew, and one that ends and is opened in one moment keeps it', async () => {
  const { arrive, holders, turns } = await bundle();
  const a = await arrive('a');
  const b = await arrive('b');
  open(a, p0, p1);
  await eventually(holders).toEqual(['a', 'a', '-', '-']);
  open(b, p0);
  await eventually(holders).toEqual(['b', 'a', '-', '-']);
  open(a, p0);
  await eventually(holders).toEqual(['a', 'a', '-', '-']);
  a.leases.laneReleased(p1);
  open(a, p1);
  await turns();
  expect(await holders()).toEqual(['a', 'a', '-', '-']);
});

test('a consumer cut off from the database loses nothing but its rows, and takes none from a newer lane when it is back', async () => {
  const { party, gated, arrive, holders, turns } = await bundle();
  const { guest: a, gate } = await gated('a');
  const b = await arrive('b');
  open(a, p0, p1);
  await eventually(holders).toEqual(['a', 'a', '-', '-']);
  gate.freeze();
  open(a, p2);
  await party.when(() => kindsOf(a).includes('connection-lost'));
  expect(a.leases.status().isMember).toBe(false);
  expect([p0, p1, p2].every((each) => a.leases.isSafe(each))).toBe(true);
  await eventually(holders).toEqual(['-', '-', '-', '-']);
  open(b, p1, p2);
  await eventually(holders).toEqual(['-', 'b', 'b', '-']);
  gate.thaw();
  await eventually(holders).toEqual(['a', 'b', 'b', '-']);
  await turns();
  expect(await holders()).toEqual(['a', 'b', 'b', '-']);
  await eventually(() => a.leases.status().isMember).toBe(true);
  expect(kindsOf(a)).not.toContain('lease-lost');
  b.leases.laneReleased(p2);
  await eventually(holders).toEqual(['a', 'b', 'a', '-']);
});

test('who leaves is no member any more, but keeps the rows of its open lanes; who stops leaves nothing behind', async () => {
  const { party, arrive, holders, consumers, turns } = await bundle();
  const a = await arrive('a');
  open(a, p0, p1);
  await eventually(holders).toEqual(['a', 'a', '-', '-']);
  a.leases.leave();
  await eventually(consumers).toEqual(new Map());
  await turns();
  expect(await holders()).toEqual(['a', 'a', '-', '-']);
  a.leases.laneReleased(p1);
  await eventually(holders).toEqual(['a', '-', '-', '-']);
  a.leases.join();
  await eventually(consumers).toEqual(new Map([['a', [p0]]]));
  await a.leases.stop(2_000);
  await a.leases.stop(100);
  expect(await holders()).toEqual(['-', '-', '-', '-']);
  expect(await consumers()).toEqual(new Map());
  const { rows } = await party.database.database.pool.query(
    `select from ${party.database.schema}.lease where consumer is not null or expires_at is not null`,
  );
  expect(rows).toEqual([]);
});

test('stopping with the database away ends in time', async () => {
  const { gated, holders } = await bundle();
  const { guest: a, gate } = await gated('a');
  open(a, p0);
  await eventually(holders).toEqual(['a', '-', '-', '-']);
  gate.freeze();
  const startedMs = performance.now();
  await a.leases.stop(400);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

test('workers over a transport that assigns by itself are ready, run what the group gives them, and are shown with it', async () => {
  const party = await WorkerParty.open(4);
  closing.push(() => party.close());
  const { holders, consumers } = reading(party.database, () => new Map());
  const ids = async () => [...(await consumers()).keys()];
  const groupOf = (...partitions: readonly Partition[]) => new Latest<ReadonlySet<Partition>>(new Set(partitions));
  const [ofA, ofB] = [groupOf(p0, p1, p2, p3), groupOf()];
  let endLast = (): void => undefined;
  const draining = new Promise<void>((resolve) => (endLast = resolve));
  const a = await party.start({
    times: SHORT,
    group: ofA,
    runLane: async (lane, serve) => {
      const end = await serve();
      if (lane.partition === p3) await draining;
      return end;
    },
  });
  const b = await party.start({ times: SHORT, group: ofB });
  await eventually(async () => [...(await consumers()).values()].map((each) => each.length).sort()).toEqual([0, 4]);
  const [idA = ''] = await holders();
  const idB = (await ids()).find((each) => each !== idA);
  await eventually(() => [a, b].every(({ worker }) => worker.isReady())).toBe(true);
  for (const each of [p0, p1, p2, p3]) party.append(each, 5);
  await party.when(() => [0, 1, 2, 3].every((number) => party.seenOf(number).length === 5));
  ofA.set(new Set([p0, p1]));
  ofB.set(new Set([p2, p3]));
  await eventually(holders).toEqual([idA, idA, idB, idB]);
  await eventually(() => a.worker.lanes().map((lane) => lane.partition)).toEqual([p0, p1, p3]);
  endLast();
  await eventually(() => a.worker.lanes().map((lane) => lane.partition)).toEqual([p0, p1]);
  expect(await holders()).toEqual([idA, idA, idB, idB]);
  ofA.end();
  ofB.end();
  await Promise.all([a.stop(2_000), b.stop(2_000)]);
  expect(await holders()).toEqual(['-', '-', '-', '-']);
  expect(await ids()).toEqual([]);
});

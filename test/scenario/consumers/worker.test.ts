// Proves that a consumer keeps its subscription and its lanes going, and drains them on stop.
import { afterEach, expect, test } from 'vitest';
import type { LaneEnd } from '../../../consumers/lane/lane-given.ts';
import { postgresBatchStore } from '../../../consumers/lane/postgres/store.ts';
import { newUuid, partition } from '../../../shared/command/identity.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { systemClock, type Clock } from '../../../shared/process/time.ts';
import type { Lane } from '../../../shared/transport/transport.ts';
import { WorkerParty, type Worker } from '../../support/consumers/worker-party.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function bundle(partitions = 4) {
  const party = await WorkerParty.open(partitions);
  closing.push(() => party.close());
  const table = async (name: 'tenure' | 'lease' | 'consumer', columns: string) => {
    const { rows } = await party.database.database.pool.query<Record<string, unknown>>(
      `select ${columns} from ${quoted(party.database.schema)}.${name} order by 1`,
    );
    return rows;
  };
  /** The record of partition 0, as soon as there is one. */
  const halted = async () => {
    for (;;) {
      const [row] = await table('tenure', 'partition, halted_code, halted_detail');
      if (row?.['halted_code'] !== null) return row;
    }
  };
  return { party, table, halted };
}

const runningOf = ({ worker }: Pick<Worker, 'worker'>) =>
  worker.lanes().filter((lane) => lane.state === 'running').length;
/** What a lane claims its partition with. */
const claimer = ({ database: { database, lanePool } }: WorkerParty) => ({
  store: postgresBatchStore({
    consumer: newUuid(),
    database,
    lanePool,
    types: new Map(),
    ledgerRetentionMs: 1_000_000,
    observe: () => undefined,
    clock: systemClock,
  }),
  owner: newUuid(),
});
const upTo = (count: number) => Array.from({ length: count }, (_, at) => BigInt(at));

test('two consumers serve every partition between them, each entry once and in order, through joining and leaving', async () => {
  const { party } = await bundle();
  const feed = (count: number) => {
    for (let number = 0; number < 4; number++) party.append(partition(number), count);
  };
  const allSeen = (count: number) => [0, 1, 2, 3].every((number) => party.seenOf(number).length === count);
  const a = await party.start();
  feed(50);
  await party.when(() => allSeen(50) && runningOf(a) === 4);
  expect(a.worker.isReady()).toBe(true);
  const b = await party.start();
  feed(50);
  await party.when(() => runningOf(a) === 2 && runningOf(b) === 2 && allSeen(100));
  feed(50);
  await a.stop(2_000);
  await party.when(() => runningOf(b) === 4 && allSeen(150));
  for (let number = 0; number < 4; number++) expect(party.seenOf(number)).toEqual(upTo(150));
  expect(a.worker.lanes()).toEqual([]);
  expect(a.worker.isReady()).toBe(false);
});

test('a lane whose tenure was lost is claimed again after waits that grow, and nobody else is held up', async () => {
  const { party } = await bundle(2);
  const waits: number[] = [];
  const started: Worker[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep(ms, signal) {
      if (started.some(({ worker }) => worker.lanes().some((lane) => lane.state === 'waiting'))) waits.push(ms);
      return systemClock.sleep(ms, signal);
    },
  };
  let losses = 0;
  const runLane = async (lane: Lane, serve: () => Promise<LaneEnd>): Promise<LaneEnd> => {
    if (lane.partition !== 0 || losses >= 4) return serve();
    losses++;
    await lane.release();
    return { kind: 'tenure-lost', reason: 'somebody else claimed it' };
  };
  started.push(await party.start({ clock, runLane }));
  party.append(partition(0), 5);
  party.append(partition(1), 5);
  await party.when(() => party.seenOf(1).length === 5);
  await party.when(() => party.seenOf(0).length === 5);
  expect(losses).toBe(4);
  const claimWaits = waits.filter((ms) => ms < 1_000 && ms !== 20);
  expect(claimWaits).toHaveLength(4);
  for (const [at, ms] of claimWaits.entries()) expect(ms).toBeGreaterThanOrEqual(50 * 2 ** at);
});

test('a halted lane is recorded and rests until a restart, and the others flow on', async () => {
  const { party, halted } = await bundle(2);
  let runs = 0;
  const runLane = async (lane: Lane, serve: () => Promise<LaneEnd>): Promise<LaneEnd> => {
    if (lane.partition !== 0) return serve();
    runs++;
    await lane.release();
    return { kind: 'halted', code: 'log-diverged', detail: 'the log is another one', holder: null };
  };
  const first = await party.start({ runLane });
  party.append(partition(0), 1);
  party.append(partition(1), 1);
  await party.when(() => party.seenOf(1).length === 1);
  expect(await halted()).toMatchObject({ halted_code: 'log-diverged', halted_detail: 'the log is another one' });
  expect(first.worker.lanes()).toMatchObject([
    { partition: 0, state: 'halted', halt: { code: 'log-diverged' } },
    { partition: 1, state: 'running', halt: null },
  ]);
  expect(first.worker.isReady()).toBe(true);
  await first.stop(2_000);
  expect(runs).toBe(1);
  await party.start();
  await party.when(() => party.seenOf(0).length === 1);
});

test('a halted lane runs again once another consumer has claimed its partition, and rests when it merely comes back', async () => {
  const { party, table } = await bundle(2);
  const runs: number[] = [];
  const halting = async (lane: Lane, serve: () => Promise<LaneEnd>): Promise<LaneEnd> => {
    runs.push(lane.partition);
    if (runs.filter((each) => each === lane.partition).length > 1) return serve();
    await lane.release();
    return { kind: 'halted', code: 'log-diverged', detail: 'the log is another one', holder: null };
  };
  const a = await party.start({ runLane: halting });
  const codes = async () => (await table('tenure', 'partition, halted_code')).map((row) => row['halted_code']);
  const comeTo = async (states: string) => {
    while (String(a.worker.lanes().map((lane) => lane.state)) !== states) await codes();
  };
  await comeTo('halted,halted');
  while ((await codes()).includes(null));

  const guest = await party.start();
  await comeTo('halted');
  await guest.stop(2_000);
  await comeTo('halted,halted');
  expect(runs.toSorted()).toEqual([0, 1]);

  const { store, owner } = claimer(party);
  const claiming = await party.start({
    runLane: async (lane, serve) => {
      const tenure = await store.claim(lane.partition, { owner, contractHash: 'test' });
      const end = await serve();
      await store.release(tenure);
      return end;
    },
  });
  party.append(partition(1), 1);
  await party.when(() => party.seenOf(1).length === 1);
  await claiming.stop(2_000);
  party.append(partition(1), 1);
  await party.when(() => party.seenOf(1).length === 2);
  await comeTo('halted,running');
  expect(runs.toSorted()).toEqual([0, 1, 1]);
  expect(await codes()).toEqual(['log-diverged', null]);
});

test('a halt is not recorded over somebody else who has claimed the partition', async () => {
  const { party, table } = await bundle(2);
  const schema = quoted(party.database.schema);
  let runs = 0;
  const runLane = async (lane: Lane): Promise<LaneEnd> => {
    await party.database.database.pool.query(`update ${schema}.tenure set owner = gen_random_uuid()`);
    await lane.release();
    runs++;
    party.changed();
    return { kind: 'halted', code: 'outage', detail: 'the policy says so', holder: null };
  };
  const { stop, events } = await party.start({ runLane });
  await party.when(() => runs === 2);
  const outdated = { kind: 'halt-outdated', code: 'outage' };
  await party.when(() => events.filter(({ kind }) => kind === outdated.kind).length >= 2);
  expect(events).toContainEqual({ ...outdated, partition: 0 });
  expect(events).toContainEqual({ ...outdated, partition: 1 });
  await stop(2_000);
  expect(await table('tenure', 'partition, halted_code')).toEqual([
    { partition: 0, halted_code: null },
    { partition: 1, halted_code: null },
  ]);
});

test('a loop that breaks its promise and rejects halts its own lane', async () => {
  const { party, halted } = await bundle(2);
  const runLane = (lane: Lane, serve: () => Promise<LaneEnd>) =>
    lane.partition === 0 ? Promise.reject(new Error('a bug')) : serve();
  const { worker, events } = await party.start({ runLane });
  party.append(partition(1), 3);
  await party.when(() => party.seenOf(1).length === 3);
  expect(await halted()).toMatchObject({ halted_code: 'broken-invariant' });
  expect(worker.lanes()[0]?.state).toBe('halted');
  expect(events).toContainEqual(
    expect.objectContaining({ kind: 'lane-halted', partition: 0, code: 'broken-invariant' }),
  );
});

test('stopping lets a running batch finish, and its lease goes only then', async () => {
  const { party, table } = await bundle(2);
  let finish = () => {};
  const runLane = async (lane: Lane, serve: () => Promise<LaneEnd>): Promise<LaneEnd> => {
    if (lane.partition === 0) await new Promise<void>((resolve) => (finish = resolve));
    return serve();
  };
  const { worker, stop } = await party.start({ runLane });
  await party.when(() => runningOf({ worker }) === 2);
  const stopped = stop(10_000);
  const leases = async () => (await table('lease', 'partition, consumer is null as free')).map((row) => row['free']);
  while ((await leases())[1] !== true);
  expect(await leases()).toEqual([false, true]);
  expect(await table('consumer', 'id')).toEqual([]);
  finish();
  await stopped;
  expect(await leases()).toEqual([true, true]);
});

test('a lane that does not end is abandoned at the deadline, and its lease goes all the same', async () => {
  const { party, table } = await bundle(2);
  const runLane = (): Promise<LaneEnd> => new Promise(() => undefined);
  const { worker, stop } = await party.start({ runLane });
  await party.when(() => worker.isReady());
  const startedMs = performance.now();
  await stop(1_000);
  expect(performance.now() - startedMs).toBeLessThan(2_000);
  expect(await table('lease', 'partition, consumer')).toEqual([
    { partition: 0, consumer: null },
    { partition: 1, consumer: null },
  ]);
});

test('a broker that is away is waited for, and no partition is asked for meanwhile', async () => {
  const { party, table } = await bundle(2);
  party.log.cut();
  const { worker, events } = await party.start();
  await party.when(() => events.some((event) => event.kind === 'connection-lost' && event.what === 'subscription'));
  expect(worker.isReady()).toBe(false);
  expect(await table('consumer', 'id')).toEqual([]);
  party.log.restore();
  party.append(partition(0), 3);
  await party.when(() => party.seenOf(0).length === 3);
  expect(worker.isReady()).toBe(true);
  expect(events.filter((event) => event.kind === 'connection-lost')).toHaveLength(1);
});

test('a database that is away at the start is waited for', async () => {
  const { party } = await bundle(2);
  const gate = await openTcpGate(party.database.url);
  closing.unshift(() => gate.close());
  gate.freeze();
  const times = { leaseMs: 1_000, renewMs: 250, drainMs: 2_000 };
  const { worker, events } = await party.start({ url: gate.url, times });
  await party.when(() => events.some((event) => event.kind === 'connection-lost' && event.what === 'leases'));
  expect(worker.isReady()).toBe(false);
  gate.thaw();
  party.append(partition(0), 3);
  await party.when(() => party.seenOf(0).length === 3);
  expect(worker.isReady()).toBe(true);
});

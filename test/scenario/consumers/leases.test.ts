// Proves that consumers share partitions fairly and promptly, on a real server, through arrivals, departures and deaths.
import { afterEach, expect, test } from 'vitest';
import type { Partition } from '../../../shared/command/identity.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { LeaseParty, type Guest } from '../../support/consumers/lease-party.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const SHORT = { leaseMs: 1_200, renewMs: 300, drainMs: 3_000 };
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function bundle(partitions: number) {
  const party = await LeaseParty.open(partitions);
  closing.push(() => party.close());
  const rows = async () => {
    const { rows } = await party.database.database.pool.query<{ consumer: string | null }>(
      `select consumer from ${quoted(party.database.schema)}.lease order by partition`,
    );
    return rows.map((row) => row.consumer);
  };
  const members = async () => {
    const { rows } = await party.database.database.pool.query<{ id: string }>(
      `select id from ${quoted(party.database.schema)}.consumer order by id`,
    );
    return rows.map((row) => row.id);
  };
  return { party, rows, members };
}

async function took(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function lostReasons(guest: Guest): readonly string[] {
  return guest.events.flatMap((event) => (event.kind === 'lease-lost' ? [event.reason] : []));
}

test('one consumer gets every partition, a second one its half within two seconds, and gives it back when it stops', async () => {
  const { party, rows, members } = await bundle(16);
  const a = await party.arrive('a');
  await party.when(() => a.held().length === 16);
  const b = await party.arrive('b');
  expect(await took(() => party.when(() => a.held().length === 8 && b.held().length === 8))).toBeLessThan(2_000);
  expect(await members()).toHaveLength(2);
  await b.leases.stop(2_000);
  expect(await took(() => party.when(() => a.held().length === 16))).toBeLessThan(1_000);
  expect(await members()).toEqual([a.id]);
  await a.leases.stop(2_000);
  expect((await rows()).every((consumer) => consumer === null)).toBe(true);
  expect(await members()).toEqual([]);
  expect(party.overlaps).toEqual([]);
  expect(lostReasons(a)).toEqual([]);
});

test('many that come and go in one moment end in a fair state, and then nothing moves', async () => {
  const { party } = await bundle(20);
  const first = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => party.arrive(name)));
  await party.when(() => party.isFair(...first));
  const go = first.filter((_, at) => [0, 3, 5].includes(at));
  const stay = first.filter((guest) => !go.includes(guest));
  await Promise.all(go.map((guest) => guest.leases.stop(2_000)));
  const late = await party.arrive('h');
  await party.when(() => party.isFair(...stay, late));
  expect(party.overlaps).toEqual([]);
  const before = [...stay, late].map((guest) => guest.events.length);
  await party.database.database.pool.query('select pg_sleep(2.5)');
  expect([...stay, late].map((guest) => guest.events.length)).toEqual(before);
});

test('more consumers than partitions: some hold none, and nobody flaps', async () => {
  const { party } = await bundle(2);
  const guests = await Promise.all(['a', 'b', 'c'].map((name) => party.arrive(name)));
  await party.when(() => party.isFair(...guests));
  const holder = guests.find((guest) => guest.held().length > 0);
  const rest = guests.filter((guest) => guest !== holder);
  await holder?.leases.stop(2_000);
  await party.when(() => party.isFair(...rest));
  expect(party.overlaps).toEqual([]);
});

test('a partition that is given back stays with its consumer until its lane has ended', async () => {
  const { party, rows } = await bundle(2);
  const ends = new Map<Partition, () => void>();
  const draining = (each: Partition) => new Promise<void>((resolve) => ends.set(each, resolve));
  const a = await party.arrive('a', { draining });
  await party.when(() => a.held().length === 2);
  const b = await party.arrive('b');
  await party.when(() => a.held().length === 1);
  // Membership alone is no event.
  await expect.poll(() => b.leases.status().isMember).toBe(true);
  await party.database.database.pool.query('select pg_sleep(2)');
  expect(await rows()).toEqual([a.id, a.id]);
  expect(b.held()).toEqual([]);
  for (const end of ends.values()) end();
  expect(await took(() => party.when(() => b.held().length === 1))).toBeLessThan(1_000);
});

test('a lane that does not end in time loses its row all the same', async () => {
  const { party } = await bundle(2);
  const a = await party.arrive('a', {
    times: { ...SHORT, drainMs: 500 },
    draining: () => new Promise(() => undefined),
  });
  await party.when(() => a.held().length === 2);
  const b = await party.arrive('b');
  await party.when(() => b.held().length === 1);
  expect(a.held()).toHaveLength(1);
});

test('a consumer cut off from the database loses its leases by its own clock, before anybody else takes them', async () => {
  const { party } = await bundle(8);
  const gate = await openTcpGate(party.database.url);
  closing.unshift(() => gate.close());
  const a = await party.arrive('a', { url: gate.url, times: SHORT });
  const b = await party.arrive('b', { times: SHORT });
  await party.when(() => party.isFair(a, b));
  gate.freeze();
  await party.when(() => b.held().length === 8);
  expect(a.held()).toEqual([]);
  expect(lostReasons(a)).toEqual(Array.from({ length: 4 }, () => 'it was not renewed in time'));
  gate.thaw();
  await party.when(() => party.isFair(a, b));
  expect(party.overlaps).toEqual([]);
  const kinds = a.events.map((event) => event.kind);
  expect(kinds.filter((kind) => kind === 'connection-lost')).toHaveLength(1);
  expect(kinds.filter((kind) => kind === 'connection-restored')).toHaveLength(1);
});

test('a connection that is terminated is made anew, and no lease is lost by it', async () => {
  const { party } = await bundle(8);
  const a = await party.arrive('a');
  await party.when(() => a.held().length === 8);
  const gate = await openTcpGate(party.database.url);
  closing.unshift(() => gate.close());
  const b = await party.arrive('b', { url: gate.url });
  await party.when(() => party.isFair(a, b));
  const restored = () => b.events.some((event) => event.kind === 'connection-restored');
  gate.cut();
  await party.when(() => b.events.some((event) => event.kind === 'connection-lost'));
  await party.when(restored);
  expect(party.isFair(a, b)).toBe(true);
  expect(lostReasons(b)).toEqual([]);
});

test('a consumer that the others gave up for dead takes its place again', async () => {
  const { party, members } = await bundle(4);
  const a = await party.arrive('a');
  await party.when(() => a.held().length === 4);
  const schema = quoted(party.database.schema);
  const { pool } = party.database.database;
  await pool.query(`delete from ${schema}.consumer`);
  await pool.query(`update ${schema}.lease set consumer = gen_random_uuid() where partition < 2`);
  await party.when(() => a.held().length === 2);
  expect(lostReasons(a)).toEqual(['another consumer has taken it', 'another consumer has taken it']);
  await pool.query(`update ${schema}.lease set expires_at = now() where partition < 2`);
  await party.when(() => a.held().length === 4);
  expect(await members()).toEqual([a.id]);
});

test('the row of a consumer that died is deleted, and so is nobody else', async () => {
  const { party, members } = await bundle(4);
  const { pool } = party.database.database;
  await pool.query(
    `insert into ${quoted(party.database.schema)}.consumer (id, host, pid, expires_at)
     values (gen_random_uuid(), 'gone', 1, now() - interval '1 minute')`,
  );
  const a = await party.arrive('a');
  await party.when(() => a.held().length === 4);
  expect(await members()).toEqual([a.id]);
});

test('stopping twice, before starting, and with the database away, ends in time', async () => {
  const { party } = await bundle(4);
  const gate = await openTcpGate(party.database.url);
  closing.unshift(() => gate.close());
  const a = await party.arrive('a', { url: gate.url, times: SHORT });
  await party.when(() => a.held().length === 4);
  gate.freeze();
  expect(await took(() => a.leases.stop(400))).toBeLessThan(1_000);
  await a.leases.stop(100);
  expect(a.held()).toEqual([]);
});

// Owns the proof of what adapters share: the roster of lanes, admission, and the catalogue.
import { describe, expect, test } from 'vitest';
import { newCommandId, newUuid, partition, trustedKey, type Partition } from '../../../shared/command/identity.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { admit, ENTRY_BYTES_MAX } from '../../../shared/transport/admission.ts';
import { openTransport, TransportUnknown } from '../../../shared/transport/catalogue.ts';
import { LaneRoster, type Hold } from '../../../shared/transport/lane-roster.ts';
import { createMemoryLog, memoryTransport } from '../../../shared/transport/memory/index.ts';
import type { Lane, Routed } from '../../../shared/transport/transport.ts';
import { freshSchemas } from '../../support/database.ts';

function entry(to: number, size: number): Routed {
  return {
    partition: partition(to),
    key: trustedKey('t/1'),
    id: newCommandId(),
    bytes: Buffer.alloc(size),
    headers: {},
  };
}

/** A lane that can be held and released. */
const bareLane = ({ partition: its, lost, release }: Hold): Lane => ({
  partition: its,
  lost,
  start: () => Promise.resolve(),
  next: () => Promise.resolve([]),
  settle: () => Promise.resolve(),
  release: () => Promise.resolve(release()),
});

describe('a roster', () => {
  test('whose leases fail loses every lane, and tells so when all are released', async () => {
    const broken = deferred();
    async function* mine(): AsyncGenerator<ReadonlySet<Partition>> {
      yield new Set([partition(0)]);
      await broken.promise;
      throw new Error('the leases are gone');
    }
    const lanes = new LaneRoster(mine(), bareLane).lanes(new AbortController().signal);
    const first = await lanes.next();
    if (first.done === true) throw new Error('a lane was due');
    broken.resolve();
    await new Promise<void>((resolve) => first.value.lost.addEventListener('abort', () => resolve(), { once: true }));
    await first.value.release();
    await expect(lanes.next()).rejects.toThrow('the leases are gone');
  });

  test('loses one lane on demand and yields it anew', async () => {
    async function* mine(): AsyncGenerator<ReadonlySet<Partition>> {
      yield new Set([partition(3)]);
      await new Promise(() => undefined);
    }
    const stop = new AbortController();
    const roster = new LaneRoster(mine(), bareLane);
    const lanes = roster.lanes(stop.signal);
    const first = await lanes.next();
    roster.lose(partition(3));
    expect(first.value?.lost.aborted).toBe(true);
    await first.value?.release();
    const second = await lanes.next();
    expect(second.value?.partition).toBe(3);
    expect(second.value?.lost.aborted).toBe(false);
    stop.abort();
    await second.value?.release();
    expect((await lanes.next()).done).toBe(true);
  });

  test('is stopped when nobody takes its lanes any more', async () => {
    async function* mine(): AsyncGenerator<ReadonlySet<Partition>> {
      yield new Set([partition(0), partition(1)]);
      await new Promise(() => undefined);
    }
    const seen: Lane[] = [];
    for await (const lane of new LaneRoster(mine(), bareLane).lanes(new AbortController().signal)) {
      seen.push(lane);
      break;
    }
    expect(seen[0]?.lost.aborted).toBe(true);
  });
});

describe('admission', () => {
  test('takes of each partition a prefix', () => {
    const batch = [entry(0, 1), entry(1, ENTRY_BYTES_MAX + 1), entry(0, 1), entry(1, 1), entry(7, 1), entry(0, 1)];
    const retries = admit(batch, 2).map((each) => (each === null ? 'taken' : each.retry ? 'later' : 'never'));
    expect(retries).toEqual(['taken', 'never', 'taken', 'later', 'never', 'taken']);
  });
});

describe('the log in memory', () => {
  test('is bounded: past its bytes entries are refused until lanes settle', async () => {
    const log = createMemoryLog({ partitions: 1, bytesMax: 100, settledEntriesKept: 1 });
    const publisher = await memoryTransport(log).openPublisher();
    const kinds = async (...sizes: number[]) =>
      (await publisher.publish(sizes.map((size) => entry(0, size)))).map((each) => each.kind);
    expect(await kinds(60, 60, 10)).toEqual(['stored', 'refused', 'refused']);
    expect(await kinds(30)).toEqual(['stored']);
    log.settle(partition(0), log.read(partition(0), 0, { count: 9, bytes: 999 })[1]?.position ?? expect.fail('two'));
    expect(await kinds(60)).toEqual(['stored']);
    expect(log.bounds(partition(0))).toEqual({ first: 1, end: 3 });
  });

  test('drops what is long settled and keeps what is not', async () => {
    const log = createMemoryLog({ partitions: 1, settledEntriesKept: 10 });
    const publisher = await memoryTransport(log).openPublisher();
    for (let round = 0; round < 20; round++) {
      const results = await publisher.publish(Array.from({ length: 1_000 }, () => entry(0, 5)));
      const settled = results[499];
      if (settled?.kind === 'stored' && settled.position !== null) log.settle(partition(0), settled.position);
    }
    expect(log.bounds(partition(0))).toEqual({ first: 19_490, end: 20_000 });
    expect(log.unsettled(partition(0))).toBe(500);
    expect(log.read(partition(0), 19_500, { count: 1, bytes: 9 })[0]?.position).toBe(19_500n);
  });
});

test('a transport that is not in this build is refused with a sentence', async () => {
  const { database, close } = await freshSchemas();
  const rest = {
    systemId: newUuid(),
    channel: 'any',
    partitions: 4,
    logRetentionMs: 1,
    inboxBytesMax: 1,
    leaseMs: 4_000,
    kafka: { connection: { brokers: ['127.0.0.1:1'], tls: null, sasl: null }, replication: null },
    rabbitmq: () => ({
      access: { host: '127.0.0.1', port: 1, username: 'guest', password: 'guest', vhost: '/', tls: null },
    }),
    observe: () => undefined,
    clock: systemClock,
    random: Math.random,
  };
  expect(() => openTransport('pigeons', { database, ...rest })).toThrow(TransportUnknown);
  expect(openTransport('rabbitmq', { database, ...rest }).traits.positions).toBe('lane');
  expect(openTransport('kafka', { database, ...rest }).traits.assigns).toBe('itself');
  expect(openTransport('memory', { database, ...rest }).traits.positions).toBe('stored');
  expect(openTransport('postgres', { database, ...rest }).traits.assigns).toBe('by-lease');
  await close();
});

function deferred() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve: () => resolve() };
}

// Proves that a halt gets into the tenure row although the tenure could not be given back, and never over a successor.
import { afterEach, describe, expect, test } from 'vitest';
import { postgresBatchStore } from '../../../consumers/lane/postgres/store.ts';
import { runLane } from '../../../consumers/lane/run-lane.ts';
import { haltRecords } from '../../../consumers/worker/halts.ts';
import { newUuid, partition } from '../../../shared/command/identity.ts';
import { openLanePool } from '../../../shared/postgres/database.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { WorkerParty } from '../../support/consumers/worker-party.ts';
import { freshDatabase, type TestDatabase } from '../../support/database.ts';
import { laneGivenOf } from '../../support/lane-bundle.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const HALT = { code: 'log-diverged', detail: 'the log is another one' };
const ONLY = partition(0);

async function tenureOf({ database, schema }: TestDatabase) {
  const { rows } = await database.pool.query<{ owner: string | null; code: string | null }>(
    `select owner, halted_code as code from ${quoted(schema)}.tenure where partition = 0`,
  );
  return rows[0];
}

test('a lane that halts in an outage is recorded although it could not give its tenure back', async () => {
  const party = await WorkerParty.open(1);
  closing.push(() => party.close());
  const { database, url, schema, system } = party.database;
  const gate = await openTcpGate(url);
  const lanePool = openLanePool({ url: gate.url, schema });
  closing.push(async () => {
    gate.admit();
    await lanePool.end();
    await gate.close();
  });
  const wanted = { database, lanePool, system, types: new Map(), batchCountMax: 10 };
  const { events } = await party.start({
    runLane: (lane) => {
      const given = laneGivenOf(wanted, (event) => {
        if (event.kind === 'lane-claimed') gate.refuse();
      });
      const policy = { ...given.policy, onOutage: () => ({ kind: 'halt-lane' }) as const };
      return runLane(lane, { ...given, policy });
    },
  });
  party.append(ONLY, 1);
  while ((await tenureOf(party.database))?.code === null);
  expect(await tenureOf(party.database)).toEqual({ owner: expect.any(String), code: 'outage' });
  expect(events.filter((event) => event.kind === 'halt-outdated')).toEqual([]);
});

describe('the record of a halt', () => {
  async function bundle() {
    const db = await freshDatabase({ partitions: 1 });
    closing.push(() => db.close());
    const store = postgresBatchStore({
      ...db,
      consumer: newUuid(),
      types: new Map(),
      ledgerRetentionMs: 1_000_000,
      observe: () => undefined,
      clock: systemClock,
    });
    const claim = () => store.claim(ONLY, { owner: newUuid(), contractHash: 'any' });
    return { db, store, claim, halts: haltRecords(db.database) };
  }

  test('is written whether or not its holder still stands there', async () => {
    const { db, store, claim, halts } = await bundle();
    const first = await claim();
    expect(await halts.record(ONLY, HALT, first)).toBe('recorded');
    expect(await tenureOf(db)).toEqual({ owner: first.owner, code: HALT.code });
    const second = await claim();
    await store.release(second);
    expect(await halts.record(ONLY, HALT, second)).toBe('recorded');
    expect(await tenureOf(db)).toEqual({ owner: null, code: HALT.code });
  });

  test('is written when the claim was carried out and its answer lost', async () => {
    const { db, claim, halts } = await bundle();
    const { owner } = await claim();
    expect(await halts.record(ONLY, HALT, { owner, epoch: null })).toBe('recorded');
    expect(await tenureOf(db)).toEqual({ owner, code: HALT.code });
  });

  test('is never written over a successor, nor over one that has given the partition back', async () => {
    const { db, store, claim, halts } = await bundle();
    const first = await claim();
    const second = await claim();
    expect(await halts.record(ONLY, HALT, first)).toBe('claimed-since');
    expect(await tenureOf(db)).toEqual({ owner: second.owner, code: null });
    await store.release(second);
    expect(await halts.record(ONLY, HALT, first)).toBe('claimed-since');
    expect(await tenureOf(db)).toEqual({ owner: null, code: null });
  });
});

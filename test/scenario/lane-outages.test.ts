// Proves that consumers which an outage had silenced are not taken for dead: nobody is parked for deaths that nobody died.
import { setTimeout as passing } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { LeaseTable } from '../../consumers/leases/lease-table.ts';
import { newUuid, partition, position, type Uuid } from '../../shared/command/identity.ts';
import { entryHash } from '../../shared/command/entry.ts';
import { laneBundle, type LaneBundle } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

const RENEWED_MS = 1_500;
let open: LaneBundle | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});

/** Two consumers marked the first entry, one after the other, and neither could give its tenure back. */
async function suspicious(): Promise<{ readonly lane: LaneBundle; readonly silent: readonly Uuid[] }> {
  const lane = await laneBundle({ types: scenarioTypes, sql: SCENARIO_SQL, renewedMs: RENEWED_MS });
  open = lane;
  const add = { type: 'account.add', subject: '1', data: { by: 1 } };
  await lane.publish([add, add]);
  const first = lane.log.at(partition(0), position(0));
  if (first === null) throw new Error('it was published');
  const silent = [newUuid(), newUuid()];
  await lane.db.database.pool.query(
    `update ${lane.db.schema}.tenure set owner = $1, consumer = $2, claims = 4, marker = decode($3, 'hex'), marker_dead = $4`,
    [newUuid(), silent[1], entryHash(first), [silent[0]]],
  );
  return { lane, silent };
}

test('a command is not blamed for consumers that renew their membership after an outage', async () => {
  const { lane, silent } = await suspicious();
  lane.start();
  await lane.until((event) => event.kind === 'lane-claimed');
  for (const id of silent) await renewed(lane, id);
  await lane.caughtUp();
  expect(await lane.sql('select code from {schema}.parked')).toEqual([]);
  expect(await lane.sql('select balance::integer from {tables}.account')).toEqual([{ balance: 2 }]);
});

test('one of two that shows up is enough', async () => {
  const { lane, silent } = await suspicious();
  lane.start();
  await lane.until((event) => event.kind === 'lane-claimed');
  await renewed(lane, silent[1]);
  await lane.caughtUp();
  expect(await lane.sql('select code from {schema}.parked')).toEqual([]);
});

test('a command is blamed when neither of them does', async () => {
  const { lane } = await suspicious();
  lane.start();
  await lane.caughtUp();
  expect(await lane.sql('select code from {schema}.parked order by number')).toEqual([
    { code: 'crashed-consumer' },
    { code: 'resource-held' },
  ]);
});

test('suspicion ends where the log does: what comes later has killed nobody', async () => {
  const lane = await laneBundle({ types: scenarioTypes, sql: SCENARIO_SQL });
  open = lane;
  await lane.db.database.pool.query(
    `update ${lane.db.schema}.tenure set claims = 7, marker = sha256('an entry of long ago')`,
  );
  lane.start();
  await lane.until((event) => event.kind === 'lane-claimed');
  // Longer than a lane waits for a first entry.
  await passing(1_500);
  const add = { type: 'account.add', subject: '1', data: { by: 1 } };
  await lane.publish([add, add]);
  await lane.caughtUp();
  expect(await lane.sql('select claims, marker from {schema}.tenure')).toEqual([{ claims: 0, marker: null }]);
});

async function renewed(lane: LaneBundle, id: Uuid | undefined): Promise<void> {
  if (id === undefined) throw new Error('there are two of them');
  const { url, schema } = lane.db.database;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const me = { id, host: 'here', pid: 1 };
  await new LeaseTable(client, { schema, me, leaseMs: 4_000 }).renewMember();
  await client.end();
}

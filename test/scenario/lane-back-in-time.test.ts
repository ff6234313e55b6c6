// Proves that a database which goes back in time under a running lane is noticed, and that the lane reads again what was forgotten.
import { cp, rename, rm } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { openDatabase, openLanePool, closeDatabase } from '../../shared/postgres/database.ts';
import { migrate } from '../../shared/postgres/migrate.ts';
import { schemaName } from '../../shared/postgres/schema-name.ts';
import { openSystem } from '../../shared/postgres/system.ts';
import { startEmbeddedServer, type EmbeddedServer } from '../../shared/postgres/embedded/server.ts';
import { createMemoryLog, type MemoryLog } from '../../shared/transport/memory/index.ts';
import { openLanes, publish, type Lanes } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';
import { startTestServer } from '../support/postgres-server.ts';

const PARTITIONS = 4;
const ACCOUNTS = 20;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A server of its own, whose files can be put back. */
const bundle = async () => {
  const { directory, server: first, close } = await startTestServer();
  let server: EmbeddedServer = first;
  closing.push(async () => {
    await server.stop(10_000);
    await close();
    await rm(`${directory}-before`, { recursive: true, force: true });
  });
  const database = await openDatabase({
    url: first.url,
    schema: schemaName('onelane'),
    poolMax: 4,
    observe: () => undefined,
  });
  closing.push(() => closeDatabase(database));
  await migrate(database, 'auto', () => undefined);
  const system = await openSystem(database, { partitions: PARTITIONS, transport: 'memory', channel: 'onelane' });
  await database.pool.query(`create schema t; ${SCENARIO_SQL.replaceAll('{tables}', 't')}`);
  const lanePool = openLanePool(database);
  closing.push(() => lanePool.end());
  const log = createMemoryLog({ partitions: PARTITIONS });
  const lanes = openLanes(log, { database, lanePool, system, types: scenarioTypes('t'), batchCountMax: 50 });
  closing.push(() => lanes.stop());
  return {
    log,
    lanes,
    database,
    send: (count: number) => publish(log, system.id, deposits(count)),
    /** Stopped cleanly, copied, started again: what stands now is what `goBack` brings back. */
    remember: async () => {
      await server.stop(10_000);
      await cp(directory, `${directory}-before`, { recursive: true });
      server = await startEmbeddedServer({ dataDirectory: directory, observe: () => undefined });
    },
    goBack: async () => {
      await server.kill();
      await rm(directory, { recursive: true });
      await rename(`${directory}-before`, directory);
      server = await startEmbeddedServer({ dataDirectory: directory, observe: () => undefined });
    },
  };
};

const deposits = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ type: 'account.add', subject: String(at % ACCOUNTS), data: { by: 1 } }));

const allCaughtUp = (lanes: Lanes, log: MemoryLog): Promise<unknown> =>
  Promise.all(
    log.partitions.map((partition) => {
      const last = BigInt(log.bounds(partition).end) - 1n;
      return last < 0n
        ? Promise.resolve(null)
        : lanes.until(
            (event) => event.kind === 'batch-applied' && event.partition === partition && event.through >= last,
          );
    }),
  );

test('a lane notices that commits are gone, reads again from the position found, and ends exact', async () => {
  const { lanes, log, send, remember, goBack, database } = await bundle();
  lanes.start();
  await send(1_000);
  await allCaughtUp(lanes, log);
  await remember();
  await send(1_000);
  await allCaughtUp(lanes, log);
  const told = lanes.events.length;
  await goBack();
  await send(1_000);
  await lanes.until((event) => event.kind === 'tenure-lost' && lanes.events.indexOf(event) >= told);
  await untilAgain(lanes, log, told);
  const { rows } = await database.pool.query(
    'select balance::text, revision::text, count(*)::integer from t.account group by 1, 2',
  );
  const each = String(3_000 / ACCOUNTS);
  expect(rows).toEqual([{ balance: each, revision: each, count: ACCOUNTS }]);
  const ledger = await database.pool.query(
    `select outcome, count(*)::integer as rows, count(distinct id)::integer as ids from onelane.ledger group by outcome`,
  );
  expect(ledger.rows).toEqual([{ outcome: 'applied', rows: 3_000, ids: 3_000 }]);
  expect((await database.pool.query('select * from onelane.parked')).rows).toEqual([]);
  expect(lanes.events.filter((event) => event.kind === 'lane-halted')).toEqual([]);
});

/** Every partition's last entry was applied again after the database had gone back. */
async function untilAgain(lanes: Lanes, log: MemoryLog, told: number): Promise<void> {
  for (const partition of log.partitions) {
    const last = BigInt(log.bounds(partition).end) - 1n;
    if (last < 0n) continue;
    await lanes.until(
      (event) =>
        event.kind === 'batch-applied' &&
        event.partition === partition &&
        event.through >= last &&
        lanes.events.indexOf(event) >= told,
    );
  }
}

// Proves that a holder which stands still with a result that it does not read is replaced within ten seconds, and writes nothing when it wakes.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { closeDatabase, openDatabase, openLanePool } from '../../shared/postgres/database.ts';
import { createMemoryLog } from '../../shared/transport/memory/index.ts';
import { freshDatabase } from '../support/database.ts';
import { openLanes, publish } from '../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../support/lane-types.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A way to the server whose reader falls asleep in the middle of the first big answer. */
async function drowsyWay(url: string, afterBytes: number) {
  const target = new URL(url);
  const port = Number(target.port === '' ? 5432 : target.port);
  const asleep = new Set<Socket>();
  const sockets = new Set<Socket>();
  let isOver = false;
  const way = createServer((client) => {
    const server = connect(port, target.hostname);
    let bytes = 0;
    client.pipe(server);
    server.on('data', (chunk) => {
      bytes += chunk.length;
      client.write(chunk);
      if (bytes < afterBytes || isOver) return;
      server.pause();
      asleep.add(server);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => way.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => way.close(resolve));
  });
  target.port = String((way.address() as AddressInfo).port); // it listens on a port, no pipe
  target.hostname = '127.0.0.1';
  return {
    url: target.href,
    wake: () => {
      isOver = true;
      for (const socket of asleep) socket.resume();
    },
  };
}

const ROWS = 60;
const bundle = async () => {
  const db = await freshDatabase({ partitions: 1, sql: SCENARIO_SQL });
  closing.push(() => db.close());
  await db.database.pool.query(
    `insert into ${db.tables}.parent select 'p' || n, 1, repeat(md5(n::text), 10000) from generate_series(1, ${ROWS}) n`,
  );
  const way = await drowsyWay(db.url, 1_000_000);
  const log = createMemoryLog({ partitions: 1 });
  const given = { system: db.system, types: scenarioTypes(db.tables), batchCountMax: 1_000 };
  const behind = await openDatabase({ url: way.url, schema: db.schema, poolMax: 2, observe: () => undefined });
  closing.push(() => closeDatabase(behind));
  const drowsyPool = openLanePool({ url: way.url, schema: db.schema });
  closing.push(() => drowsyPool.end());
  const drowsy = openLanes(log, { ...given, database: behind, lanePool: drowsyPool });
  const young = openLanes(log, { ...given, database: db.database, lanePool: db.lanePool });
  return { db, log, way, drowsy, young };
};

test('a successor is in within ten seconds of a holder that does not read its result', async () => {
  const { db, log, way, drowsy, young } = await bundle();
  const commands = Array.from({ length: ROWS }, (_, at) => ({
    type: 'parent.write',
    subject: `p${at + 1}`,
    data: { remark: 'short' },
  }));
  await publish(log, db.system.id, commands);
  drowsy.start();
  closing.push(() => drowsy.stop());
  await drowsy.until((event) => event.kind === 'lane-claimed');
  while (!(await standsInClientWrite(db.database.pool, db.schema))) await sleep(50);
  const startedMs = performance.now();
  young.start();
  closing.push(() => young.stop());
  await young.until((event) => event.kind === 'lane-claimed');
  expect(performance.now() - startedMs).toBeLessThan(10_000);
  expect(young.events).toContainEqual(expect.objectContaining({ kind: 'holder-terminated' }));
  await young.caughtUp(BigInt(ROWS));
  way.wake();
  await drowsy.until((event) => event.kind === 'tenure-lost');
  expect(drowsy.events.filter((event) => event.kind === 'batch-applied')).toEqual([]);
  const { rows } = await db.database.pool.query(
    `select revision::text, remark, count(*)::integer from ${db.tables}.parent group by 1, 2`,
  );
  expect(rows).toEqual([{ revision: '2', remark: 'short', count: ROWS }]);
});

async function standsInClientWrite(
  pool: { query: (text: string) => Promise<{ rows: unknown[] }> },
  schema: string,
): Promise<boolean> {
  const { rows } = await pool.query(
    `select 1 from pg_stat_activity where wait_event = 'ClientWrite' and application_name = 'onelane-lane' and query like '%${schema}%'`,
  );
  return rows.length > 0;
}

// Owns the proof that a server killed again and again while it is written and read loses nothing and swaps nothing.
import { afterAll, expect, test } from 'vitest';
import { entryHash, type Delivery } from '../../../shared/command/entry.ts';
import { newCommandId, partition, position, trustedKey } from '../../../shared/command/identity.ts';
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import { dataDirectory, runningPostmaster } from '../../../shared/postgres/embedded/data-directory.ts';
import { migrate } from '../../../shared/postgres/migrate.ts';
import { schemaName } from '../../../shared/postgres/schema-name.ts';
import { openSystem } from '../../../shared/postgres/system.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { postgresTransport } from '../../../shared/transport/postgres/index.ts';
import type { Publisher, Routed } from '../../../shared/transport/transport.ts';
import { Consumer, Mine } from '../../conformance/suite/consumer.ts';
import { numbered } from '../../conformance/suite/stage.ts';
import { eventually, within } from '../../conformance/suite/within.ts';
import { startTestServer } from '../../support/postgres-server.ts';

const PARTITIONS = [0, 1, 2].map(partition);
const KILLS = 3;
const CALLS_BETWEEN_KILLS = 12;
const ENTRIES_PER_CALL = 20;
const PATIENCE_MS = 60_000;

const closing: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

/** One server that may be killed, and a writer and a reader that do not share connections. */
async function bundle() {
  const server = await startTestServer();
  closing.push(() => server.close());
  const processes = await Promise.all(
    [0, 1].map(async () => {
      const observe = () => undefined;
      const given = { url: server.server.url, schema: schemaName('killed'), poolMax: 2, observe };
      const database = await openDatabase(given);
      closing.push(() => closeDatabase(database));
      await migrate(database, 'auto', observe);
      const wanted = { partitions: PARTITIONS.length, transport: 'postgres', channel: 'killed' };
      const { id: systemId } = await openSystem(database, wanted);
      const bounds = { logRetentionMs: 86_400_000, inboxBytesMax: 1024 * 1024 };
      const transport = postgresTransport({ database, systemId, ...bounds, observe, clock: systemClock });
      await transport.provision(PARTITIONS.length);
      return transport;
    }),
  );
  const [writing, reading] = processes;
  if (writing === undefined || reading === undefined) throw new Error('there are two');
  const publisher = await writing.openPublisher();
  const consumer = await Consumer.open(reading, new Mine(PARTITIONS), PATIENCE_MS);
  closing.push(() => publisher.close());
  closing.push(() => consumer.close());
  const kill = () => {
    const running = runningPostmaster(dataDirectory(server.directory));
    if (running !== null) process.kill(running.pid, 'SIGKILL');
  };
  return { publisher, consumer, kill };
}

function call(prefix: string): readonly Routed[] {
  return numbered(prefix, ENTRIES_PER_CALL).map((text, index) => {
    const to = partition(index % PARTITIONS.length);
    return { partition: to, key: trustedKey(`t/${to}`), id: newCommandId(), bytes: Buffer.from(text), headers: {} };
  });
}

/** As submitting does: what is not stored for certain is published again, the same, before anything later. */
async function publishUntilStored(publisher: Publisher, batch: readonly Routed[]): Promise<number> {
  let attempts = 0;
  await eventually(PATIENCE_MS, 'a call to be stored', async () => {
    attempts++;
    return (await publisher.publish(batch)).every((result) => result.kind === 'stored');
  });
  return attempts;
}

/** As a lane's holder does: tries again when a read rejects, and begins anew after the last applied when the lane is lost. */
async function readUntil(consumer: Consumer, which: number, isDone: (seen: readonly string[]) => boolean) {
  const seen: string[] = [];
  let last: Delivery | undefined;
  await within(PATIENCE_MS * 2, `partition ${which} to be read`, async (isOver) => {
    while (!isDone(seen) && !isOver()) {
      const lane = await consumer.lane(partition(which));
      const applied = last === undefined ? null : { position: last.position, hash: entryHash(last) };
      const next = applied === null ? null : position(applied.position + 1n);
      const hasStarted = await lane.start({ next, last: applied, commits: 0n }).then(
        () => true,
        () => false,
      );
      while (hasStarted && !lane.lost.aborted && !isDone(seen) && !isOver()) {
        const batch = await lane.next({ count: 50, bytes: 1_000_000, waitMs: 200 }).catch(() => []);
        seen.push(...batch.map((each) => Buffer.from(each.bytes).toString()));
        last = batch.at(-1) ?? last;
      }
      await lane.release();
    }
  });
  return seen;
}

test('what was stored is delivered in order, though the server is killed while it is written and read', async () => {
  const { publisher, consumer, kill } = await bundle();
  const prefixes = Array.from({ length: (KILLS + 1) * CALLS_BETWEEN_KILLS }, (_, index) => `c${index}:`);
  const published = prefixes.flatMap(call);
  const reading = PARTITIONS.map((which) => {
    const lastText = published
      .filter((each) => each.partition === which)
      .at(-1)
      ?.bytes.toString();
    return readUntil(consumer, which, (seen) => seen.at(-1) === lastText);
  });
  let again = 0;
  for (const [index, prefix] of prefixes.entries()) {
    const storing = publishUntilStored(publisher, call(prefix));
    if (index > 0 && index % CALLS_BETWEEN_KILLS === 0) kill();
    again += (await storing) - 1;
  }
  for (const [which, seen] of (await Promise.all(reading)).entries()) {
    const expected = published.filter((each) => each.partition === which).map((each) => each.bytes.toString());
    // What was published again after an unknown answer may stand twice; its first place counts.
    expect([...new Set(seen)], `partition ${which}`).toEqual(expected);
  }
  expect(again, 'the kills were noticed').toBeGreaterThan(0);
});

// Proves that a consumer which stands still with a result that it does not read is replaced within ten seconds, and writes nothing when it wakes.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { openFoundation } from '../../operators/wiring/foundation.ts';
import { loadConfig } from '../../operators/wiring/load-config.ts';
import { systemClock } from '../../shared/process/time.ts';
import { routedAll } from '../support/lane-bundle.ts';
import { startTestServer } from '../support/postgres-server.ts';
import { startChild } from '../support/processes/child.ts';
import type { ChildGiven } from '../support/processes/protocol.ts';
import { settingsOf } from '../support/processes/stand-up.ts';
import { Ticker } from '../support/simulation/ticker.ts';

const CONFIG = fileURLToPath(new URL('../support/processes/notes.config.ts', import.meta.url));
const NOTES = 60;
const NOTE_BYTES = 320_000;
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** One partition of long rows. Times are the default ones: a lease of four seconds comes before any patience with its holder. */
async function bundle() {
  const { server, close } = await startTestServer();
  closing.push(close);
  const given: ChildGiven = {
    databaseUrl: server.url,
    schema: 'onelane',
    configFile: CONFIG,
    partitions: 1,
    port: 0,
    batchSize: 1_000,
  };
  const foundation = await openFoundation({
    url: server.url,
    settings: settingsOf(given),
    config: await loadConfig(CONFIG, process.cwd()),
    observe: () => undefined,
    clock: systemClock,
  });
  closing.push(() => foundation.close(5_000));
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  closing.push(() => client.end());
  await client.query(
    `insert into note select n::text, 1, repeat('long', ${NOTE_BYTES / 4}) from generate_series(1, ${NOTES}) n`,
  );
  const ticker = new Ticker();
  const consumer = async () => {
    const onTold = (name: string, said: Parameters<Ticker['hear']>[1]) => ticker.hear(name, said);
    const child = await startChild({ entry: 'consumer', given, onTold });
    closing.push(() => child.end('SIGKILL'));
    return child;
  };
  /** Resolves when a lane's session waits for this. */
  const laneWaits = async (waitEvent: string) => {
    const waiting = `select from pg_stat_activity where wait_event = $1 and application_name = 'onelane-lane'`;
    while ((await client.query(waiting, [waitEvent])).rowCount === 0) await sleep(10);
  };
  return { foundation, client, ticker, consumer, laneWaits };
}

/** A new text for every note, in one call. */
async function write({ transport, system }: Awaited<ReturnType<typeof bundle>>['foundation']): Promise<void> {
  const names = Array.from({ length: NOTES }, (_, at) => String(at + 1));
  const drafts = names.map((subject) => ({ type: 'note.write', subject, data: { text: 'short' } }));
  const publisher = await transport.openPublisher();
  const results = await publisher.publish(routedAll(drafts, system).routed);
  await publisher.close();
  expect(results.filter((result) => result.kind !== 'stored')).toEqual([]);
}

test('a successor is in within ten seconds of a holder that does not read its result', async () => {
  const { foundation, client, ticker, consumer, laneWaits } = await bundle();
  const frozen = await consumer();
  await ticker.until(() => ticker.heldBy(frozen.name).length === 1);
  const successor = await consumer();
  // The rows are locked until the holder has asked for them and stands still: it can have read nothing of the answer.
  await client.query('begin; lock table note in access exclusive mode');
  await write(foundation);
  await laneWaits('relation');
  const frozenMs = performance.now();
  frozen.freeze();
  await client.query('commit');
  await laneWaits('ClientWrite');
  await ticker.until(() => ticker.heldBy(successor.name).length === 1);
  const replacedMs = performance.now() - frozenMs;
  process.stdout.write(`replaced ${Math.round(replacedMs)} ms after it was frozen\n`);
  expect(replacedMs).toBeLessThan(10_000);

  await ticker.until(() => ticker.tally.applied === NOTES);
  frozen.wake();
  await ticker.until(() => frozen.told.some(({ kind }) => kind === 'lost'));
  expect(frozen.told.map(({ kind }) => kind)).toEqual(['claimed', 'lost']);
  expect(ticker.violations).toEqual([]);
  const { rows } = await client.query('select revision::integer, text, count(*)::integer from note group by 1, 2');
  expect(rows).toEqual([{ revision: 2, text: 'short', count: NOTES }]);
});

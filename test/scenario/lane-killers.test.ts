// Proves that a command which kills its consumer is found and parked within a few restarts, and that nobody else is blamed.
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { loadConfig } from '../../operators/wiring/load-config.ts';
import { openFoundation, type Foundation } from '../../operators/wiring/foundation.ts';
import { systemClock } from '../../shared/process/time.ts';
import { routedAll, type Sent } from '../support/lane-bundle.ts';
import { startTestServer } from '../support/postgres-server.ts';
import { startChild, type Child } from '../support/processes/child.ts';
import type { ChildGiven } from '../support/processes/protocol.ts';
import { settingsOf } from '../support/processes/stand-up.ts';

const CONFIG = fileURLToPath(new URL('../support/processes/killers.config.ts', import.meta.url));
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const bundle = async () => {
  const { server, close } = await startTestServer();
  closing.push(close);
  const given: ChildGiven = {
    databaseUrl: server.url,
    schema: 'onelane',
    configFile: CONFIG,
    partitions: 4,
    port: 0,
    batchSize: 1_000,
    settings: { ONELANE_DECIDE_LIMIT: '500ms', ONELANE_LEASE: '1s' },
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
  return { given, foundation, client };
};

const ACCOUNTS = 200;
const KILLER_AT = 437;
const RESTARTS_MAX = 6;
/** Each death costs a start, and a lease that nobody gives back. */
const PATIENCE_MS = 240_000;

async function send({ transport, system }: Foundation, killer: string): Promise<readonly Sent[]> {
  const lines = Array.from({ length: 1_000 }, (_, at) => {
    const subject = String(at % ACCOUNTS);
    return at === KILLER_AT
      ? { type: `account.${killer}`, subject }
      : { type: 'account.add', subject, data: { by: 1 } };
  });
  const { sent, routed } = routedAll(lines, system);
  const publisher = await transport.openPublisher();
  const results = await publisher.publish(routed);
  await publisher.close();
  expect(results.filter((result) => result.kind !== 'stored')).toEqual([]);
  return sent;
}

/** Starts a consumer again whenever it has died, until `isDone`; how often it died. */
async function restartUntil(given: ChildGiven, isDone: () => Promise<boolean>): Promise<number> {
  for (let deaths = 0; deaths <= RESTARTS_MAX; deaths++) {
    const child = await startOrDie(given);
    if (child === null) continue;
    const done = await Promise.race([child.ended.then(() => 'dead' as const), poll(isDone, child)]);
    if (done === 'dead') continue;
    await child.end('SIGTERM');
    return deaths;
  }
  throw new Error(`still not parked after ${RESTARTS_MAX} restarts`);
}

/** It may die before it can say that it is ready. */
async function startOrDie(given: ChildGiven): Promise<Child | null> {
  try {
    return await startChild({ entry: 'consumer', given, onTold: () => undefined });
  } catch {
    return null;
  }
}

async function poll(isDone: () => Promise<boolean>, child: Child): Promise<'done'> {
  let isOver = false;
  void child.ended.then(() => (isOver = true));
  while (!isOver && !(await isDone())) await systemClock.sleep(100);
  return 'done';
}

test.each(['abort', 'hang'])(
  'a decide that ends in %s is parked within six restarts, and nobody else is',
  async (killer) => {
    const { given, foundation, client } = await bundle();
    const sent = await send(foundation, killer);
    const outcomes = async (): Promise<number> => {
      const { rows } = await client.query<{ count: number }>(
        'select (select count(*) from onelane.ledger)::integer + (select count(*) from onelane.parked)::integer as count',
      );
      return rows[0]?.count ?? 0;
    };
    const deaths = await restartUntil(given, async () => (await outcomes()) === sent.length);
    process.stdout.write(`${killer}: parked after ${deaths} deaths\n`);
    const { rows: parked } = await client.query(
      'select resource, number::integer, id, code from onelane.parked order by number',
    );
    const account = KILLER_AT % ACCOUNTS;
    const behind = sent.filter((_, at) => at > KILLER_AT && at % ACCOUNTS === account);
    const resource = `account/${account}`;
    expect(parked).toEqual([
      { resource, number: 1, id: sent[KILLER_AT]?.id, code: 'crashed-consumer' },
      ...behind.map(({ id }, at) => ({ resource, number: at + 2, id, code: 'resource-held' })),
    ]);
    const { rows: wrong } = await client.query(
      `select * from account where id <> ${account} and (balance <> 5 or revision <> 5)`,
    );
    expect(wrong).toEqual([]);
    expect(deaths).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);

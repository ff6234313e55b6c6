// Proves that a command which kills its consumer is found and parked within a few restarts, and that nobody else is blamed.
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { loadConfig } from '../../operators/wiring/load-config.ts';
import { openFoundation, type Foundation } from '../../operators/wiring/foundation.ts';
import { resourceKey, trustedTypeName } from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
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

const bundle = async (partitions: number) => {
  const { server, close } = await startTestServer();
  closing.push(close);
  const given: ChildGiven = {
    databaseUrl: server.url,
    schema: 'onelane',
    configFile: CONFIG,
    partitions,
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
  const outcomes = async (): Promise<number> => {
    const { rows } = await client.query<{ count: number }>(
      'select (select count(*) from onelane.ledger)::integer + (select count(*) from onelane.parked)::integer as count',
    );
    return rows[0]?.count ?? 0;
  };
  return { given, foundation, client, outcomes };
};

const ACCOUNTS = 200;
const KILLER_AT = 437;
const RESTARTS_MAX = 6;
/** Each death costs a start, and a lease that nobody gives back. */
const PATIENCE_MS = 240_000;

type Line = Omit<Sent, 'id'>;

/** A thousand additions, five for each account, and a killer in the middle. */
function linesWith(killer: string): readonly Line[] {
  return Array.from({ length: 1_000 }, (_, at) => {
    const subject = String(at % ACCOUNTS);
    return at === KILLER_AT ? { type: `account.${killer}`, subject } : addition(subject);
  });
}

const addition = (subject: string): Line => ({ type: 'account.add', subject, data: { by: 1 } });

async function send({ transport, system }: Foundation, lines: readonly Line[]): Promise<readonly Sent[]> {
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
    const { given, foundation, client, outcomes } = await bundle(4);
    const sent = await send(foundation, linesWith(killer));
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

/** The first account beyond those that are added to which lies in this partition. */
function accountIn(partition: number, partitions: number): string {
  for (let account = ACCOUNTS; ; account++) {
    const key = resourceKey(trustedTypeName('account'), String(account));
    if (partitionOf(key, partitions) === partition) return String(account);
  }
}

test(
  'two consumers with a killer in each of two partitions park both within six restarts each, and nobody else',
  async () => {
    const { given, foundation, client, outcomes } = await bundle(2);
    const victims = [accountIn(0, 2), accountIn(1, 2)];
    const killers = victims.map((subject): Line => ({ type: 'account.abort', subject }));
    const additions = Array.from({ length: 1_000 }, (_, at) => addition(String(at % ACCOUNTS)));
    const sent = await send(foundation, [...additions.slice(0, KILLER_AT), ...killers, ...additions.slice(KILLER_AT)]);
    const isDone = async () => (await outcomes()) === sent.length;
    const deaths = await Promise.all([restartUntil(given, isDone), restartUntil(given, isDone)]);
    process.stdout.write(`two killers: parked after ${deaths.join(' and ')} deaths\n`);

    const { rows: parked } = await client.query('select resource, number::integer, id, code from onelane.parked');
    const blamed = killers.map(({ subject }, at) => ({
      resource: `account/${subject}`,
      number: 1,
      id: sent[KILLER_AT + at]?.id,
      code: 'crashed-consumer',
    }));
    expect(parked).toHaveLength(blamed.length);
    expect(parked).toEqual(expect.arrayContaining(blamed));

    // A resource's revisions count its commands: the ledger tells in which order each was applied, and whether twice.
    const { rows: applied } = await client.query(
      `select id, revision::integer
       from onelane.ledger
       where outcome = 'applied'
       order by split_part(resource, '/', 2)::integer, revision`,
    );
    const expected = Array.from({ length: ACCOUNTS }, (_, account) =>
      sent
        .filter(({ type, subject }) => type === 'account.add' && subject === String(account))
        .map(({ id }, at) => ({ id, revision: at + 1 })),
    );
    expect(applied).toEqual(expected.flat());
    const { rows: wrong } = await client.query('select * from account where balance <> 5 or revision <> 5');
    expect(wrong).toEqual([]);
  },
  PATIENCE_MS,
);

// Proves that a process which stood still past its leases acts on none of them when it goes on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { openFollowingLeases } from '../../../consumers/leases/following-leases.ts';
import { readConsumers, readPartitions } from '../../../shared/postgres/status-reads.ts';
import { LeaseParty } from '../../support/consumers/lease-party.ts';

const LEASE_MS = 1_200;
const PROGRAM = fileURLToPath(new URL('../../support/consumers/leasing-process.ts', import.meta.url));
/** For slow machines. */
const POLL = { timeout: 10_000 };
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Line {
  readonly what: 'woken' | 'mine';
  readonly held: readonly number[];
}

/** With lanes: the child's leases follow, and these are open. */
async function bundle(...lanes: readonly string[]) {
  const party = await LeaseParty.open(4);
  closing.push(() => party.close());
  const given = [party.database.url, party.database.schema, String(LEASE_MS), ...lanes];
  const child = spawn(process.execPath, ['--import', 'jiti/register', PROGRAM, ...given], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  closing.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<Line> => {
    const { value } = await lines.next();
    // The child's own words, written by leasing-process.
    return JSON.parse(String(value)) as Line;
  };
  const holding = async (count: number) => {
    while ((await line()).held.length !== count);
  };
  return { party, child, line, holding, ended };
}

test('a frozen process loses its leases to others, and knows it before it does anything else', async () => {
  const { party, child, line, holding, ended } = await bundle();
  await holding(4);
  child.kill('SIGSTOP');
  const times = { leaseMs: LEASE_MS, renewMs: LEASE_MS / 4, drainMs: 10_000 };
  const other = await party.arrive('other', { times });
  await party.when(() => other.held().length === 4);
  child.kill('SIGCONT');
  const first = [await line(), await line()];
  expect(first.find((each) => each.what === 'woken')?.held).toEqual([]);
  expect(first.find((each) => each.what === 'mine')?.held).toEqual([]);
  await holding(2);
  await party.when(() => other.held().length === 2);
  child.stdin.end();
  await party.when(() => other.held().length === 4);
  expect(await ended).toEqual([0, null]);
});

test('a process killed without a word is replaced when its leases have run out', async () => {
  const { party, child, holding } = await bundle();
  const times = { leaseMs: LEASE_MS, renewMs: LEASE_MS / 4, drainMs: 10_000 };
  const other = await party.arrive('other', { times });
  await holding(2);
  await party.when(() => other.held().length === 2);
  const startedMs = performance.now();
  child.kill('SIGKILL');
  await party.when(() => other.held().length === 4);
  expect(performance.now() - startedMs).toBeLessThan(LEASE_MS * 3);
});

test('a process whose leases follow is killed without a word: its rows run out, and are not shown any more', async () => {
  const { party, child } = await bundle('0', '1');
  const { database } = party.database;
  const shown = async () =>
    (await readPartitions(database)).map(({ lease }) => (lease === null || lease.isExpired ? null : lease.consumer));
  const times = { leaseMs: LEASE_MS, renewMs: LEASE_MS / 4, drainMs: 10_000 };
  const other = await party.arrive('other', { times, open: openFollowingLeases });
  await expect.poll(async () => (await shown()).filter((each) => each !== null), POLL).toHaveLength(2);
  child.kill('SIGKILL');
  await expect.poll(shown, POLL).toEqual([null, null, null, null]);
  await expect.poll(async () => (await readConsumers(database)).map((each) => each.id), POLL).toEqual([other.id]);
});

// Proves what a newcomer does: start, paste, stop, start again, and pull the plug.
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { isAlive, openWorkplace, processesIn, type Workplace } from '../../support/cli/workplace.ts';

const places: Workplace[] = [];

async function bundle() {
  const place = await openWorkplace('embedded');
  places.push(place);
  const balance = async (url: string) => (await fetch(`${url}/v1/resources/account/42`)).json();
  const deposit = (url: string, amount: number) =>
    post(url, { type: 'account.deposit', subject: '42', data: { amount } });
  const open = (url: string) => post(url, { type: 'account.open', subject: '42', data: {} });
  return { place, balance, deposit, open };
}

async function post(url: string, draft: object): Promise<number> {
  return (await send(url, draft)).status;
}

async function send(url: string, draft: object): Promise<Response> {
  const headers = { 'content-type': 'application/json', prefer: 'wait=20' };
  return await fetch(`${url}/v1/commands`, { method: 'POST', headers, body: JSON.stringify(draft) });
}

// Three promises to a person at a machine with nothing else to do. Here both cores are busy with other tests, so the last two have slack.
const START_MS = 60_000;
const START_AGAIN_MS = 3_000 * 4;
const STOP_MS = 10_000 * 1.5;

/** Resolves with what `act` gave; fails when it took longer. */
async function within<T>(limitMs: number, act: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await act();
  expect(performance.now() - startedMs).toBeLessThan(limitMs);
  return result;
}

afterEach(async () => {
  for (const place of places.splice(0)) await place.close();
});

describe('onelane up', () => {
  test('says where it listens and where the data is, and its curl lines work when pasted', async () => {
    const { place, balance } = await bundle();
    const up = place.start(['up', '--http-port', '0']);
    const text = await up.printed(/Onelane is up[^]*Ctrl-C stops it/);
    expect(text).toContain(`${place.directory}/.onelane`);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0] ?? '';
    const lines = text.match(/^curl [^]*?}'$/gm) ?? [];
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      const { stdout } = await promisify(execFile)('sh', ['-c', line]);
      expect(JSON.parse(stdout)).toMatchObject({ status: 'applied' });
    }
    expect(await balance(url)).toEqual({ balance: '500' });
  });

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'starts in time, ends in time and in good order at %s, leaves no process, and the next start is quick and has the data',
    async (signal) => {
      const { place, open, deposit, balance } = await bundle();
      const first = await within(START_MS, () => place.serve(['up']));
      expect(await open(first.url)).toBe(200);
      expect(await deposit(first.url, 7)).toBe(200);
      const server = await place.serverPid();
      expect(server).not.toBeNull();
      expect(await processesIn(place.directory)).not.toEqual([]);
      first.signal(signal);
      expect(await within(STOP_MS, () => first.ended)).toEqual({ code: 0, signal: null });
      expect(isAlive(server ?? 0)).toBe(false);
      expect(await processesIn(place.directory)).toEqual([]);
      expect(first.stdout()).toContain('"status":"stopped"');

      const second = await within(START_AGAIN_MS, () => place.serve(['up']));
      expect(await balance(second.url)).toEqual({ balance: '7' });
      expect(await deposit(second.url, 1)).toBe(200);
    },
  );

  test.each([
    ['SIGTERM to npm itself, which started it,', 'signal'],
    ['Ctrl-C at a terminal, which npm gets and passes on,', 'interrupt'],
  ] as const)('%s ends everything in good order, too', async (_, how) => {
    const { place } = await bundle();
    const npm = place.npmStart(['--http-port', '0', '--json']);
    const { pid } = await npm.said(({ status }) => status === 'serving');
    const server = await place.serverPid();
    try {
      if (how === 'signal') npm.signal('SIGTERM');
      else npm.interrupt();
      await npm.ended;
      expect(npm.stdout()).toContain('"status":"stopped"');
      expect([Number(pid), server ?? 0].map(isAlive)).toEqual([false, false]);
    } finally {
      if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
    }
  });

  test('starts and has the data after everything was killed with -9', async () => {
    const { place, open, deposit, balance } = await bundle();
    const first = await place.serve(['up']);
    expect(await open(first.url)).toBe(200);
    expect(await deposit(first.url, 7)).toBe(200);
    const server = await place.serverPid();
    first.signal('SIGKILL');
    process.kill(server ?? 0, 'SIGKILL');
    await first.ended;

    const second = await place.serve(['up']);
    expect(await balance(second.url)).toEqual({ balance: '7' });
    expect(await deposit(second.url, 1)).toBe(200);
  });

  test('parks the one command that the database refuses, and serves the others', async () => {
    const { place, open, deposit, balance } = await bundle();
    await place.put(
      'bank.sql',
      'create table account (id text primary key, revision bigint not null, balance bigint not null check (balance <= 100));',
    );
    const { url } = await place.serve(['up']);
    expect(await open(url)).toBe(200);
    expect(await deposit(url, 100)).toBe(200);
    expect(await post(url, { type: 'account.open', subject: '43', data: {} })).toBe(200);
    const refused = await send(url, { type: 'account.deposit', subject: '43', data: { amount: 101 } });
    expect(await refused.json()).toMatchObject({ status: 'parked', code: 'refused-by-database' });
    expect(await balance(url)).toEqual({ balance: '100' });
    expect(await post(url, { type: 'account.withdraw', subject: '42', data: { amount: 1 } })).toBe(200);
  });

  test('ends at once at the second signal, and takes its server along', async () => {
    const { place } = await bundle();
    const up = await place.serve(['up', '--drain', '10m']);
    const server = await place.serverPid();
    const { hostname, port } = new URL(up.url);
    // A request that never ends: what the drain would wait for.
    const socket = connect(Number(port), hostname);
    const head =
      'POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 999\r\n\r\n';
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.write(`${head}{`, () => resolve()));
    up.signal('SIGINT');
    await up.said(({ status }) => status === 'stopping');
    // No sooner than a hand presses Ctrl-C again.
    await setTimeout(600);
    up.signal('SIGINT');
    expect(await up.ended).toEqual({ code: 1, signal: null });
    socket.destroy();
    await expect.poll(() => isAlive(server ?? 0), { timeout: 20_000 }).toBe(false);
  });
});

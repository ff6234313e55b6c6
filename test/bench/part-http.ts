// Owns the ratios over HTTP: accepting without waiting against a server that only validates, and waiting against a row lock.
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../shared/process/time.ts';
import { freshSchemas } from '../support/database.ts';
import { accountTable } from './accounts.ts';
import { loadHttp, type HttpLoad } from './http-load.ts';
import type { BenchGiven } from './main.ts';
import { median, judged, type Judged } from './measure.ts';

const ROWS = 1_000;
const ACCEPTED = 20_000;
const WAITED = 500;
/** Of each server, before it counts: until then half of the time goes into compiling what is measured. */
const WARM_UP = { api: 10_000, up: 500 } as const;

export async function benchHttp({ url, rounds }: BenchGiven): Promise<readonly Judged[]> {
  // Each with a system of its own: what was accepted without waiting would stand before what is waited for.
  const first = await freshSchemas({ sql: accountTable(ROWS) });
  const second = await freshSchemas({ sql: accountTable(ROWS) });
  const envOf = (schemas: typeof first) => ({
    DATABASE_URL: url,
    ONELANE_SCHEMA: schemas.schema,
    BENCH_TABLES: schemas.tables,
  });
  try {
    const accepting = await against(
      { rounds, env: envOf(first), command: 'api' },
      'accept',
      acceptLoad,
      (result) => result.ms,
    );
    const waiting = await against(
      { rounds, env: envOf(second), command: 'up' },
      'row-lock',
      waitLoad,
      (result) => result.medianLatencyMs,
    );
    console.log('\nOver HTTP, single commands');
    console.log(
      `  202 without waiting, 64 connections: ours ${rate(accepting.ours)}, bare server ${rate(accepting.bare)}`,
    );
    console.log(
      `  median with wait, 1 connection: ours ${waiting.ours.toFixed(2)} ms, row lock ${waiting.bare.toFixed(2)} ms`,
    );
    return [
      judged('HTTP single without wait against a bare fastify + zod server', accepting.bare / accepting.ours, {
        atLeast: 0.5,
      }),
      judged('HTTP single with wait, low load: median against a row lock over HTTP', waiting.ours / waiting.bare, {
        atMost: 3,
      }),
    ];
  } finally {
    await first.close();
    await second.close();
  }
}

export interface Setting {
  readonly rounds: number;
  readonly env: Readonly<Record<string, string>>;
  readonly command: 'api' | 'up';
}

type Load = (port: number) => HttpLoad;

/** Medians over the rounds; both servers run throughout and take turns. */
async function against(
  setting: Setting,
  mode: 'accept' | 'row-lock',
  load: Load,
  figure: (result: { readonly ms: number; readonly medianLatencyMs: number }) => number,
): Promise<{ readonly ours: number; readonly bare: number }> {
  const ours = await startOurs(setting);
  const bare = await startBare(setting, mode);
  try {
    const figures: { ours: number[]; bare: number[] } = { ours: [], bare: [] };
    for (const port of [ours.port, bare.port]) await loadHttp({ ...load(port), count: WARM_UP[setting.command] });
    for (let round = 0; round < setting.rounds; round++) {
      figures.ours.push(figure(await loadHttp(load(ours.port))));
      figures.bare.push(figure(await loadHttp(load(bare.port))));
    }
    return { ours: median(figures.ours), bare: median(figures.bare) };
  } finally {
    await stop(bare.child);
    await stop(ours.child);
  }
}

const draft = (n: number): string =>
  JSON.stringify({ type: 'account.deposit', subject: String(1 + (n % ROWS)), data: { amount: 5 } });

const acceptLoad: Load = (port) => ({
  port,
  path: '/v1/commands',
  headers: { 'content-type': 'application/json' },
  body: draft,
  connections: 64,
  count: ACCEPTED,
  expectStatus: 202,
});

export function waitLoad(port: number): HttpLoad {
  const load = { ...acceptLoad(port), connections: 1, count: WAITED, expectStatus: 200 };
  return { ...load, headers: { ...load.headers, prefer: 'wait=5' } };
}

export interface Started {
  readonly child: ChildProcess;
  readonly port: number;
}

export async function startOurs({ command, env }: Setting): Promise<Started> {
  const port = await freePort();
  const main = fileURLToPath(new URL('../../operators/cli/main.js', import.meta.url));
  const config = fileURLToPath(new URL('./onelane.config.js', import.meta.url));
  const child = spawn(process.execPath, [main, command, '--config', config, '--http-port', String(port)], {
    env: { ...process.env, ...env, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await untilReady(port, child);
  return { child, port };
}

async function startBare({ env }: Setting, mode: string): Promise<Started> {
  const table = `${env['BENCH_TABLES'] ?? ''}.account`;
  const child = fork(new URL('./bare-server.js', import.meta.url), [mode, env['DATABASE_URL'] ?? '', table]);
  const [message]: { port: number }[] = await once(child, 'message');
  if (message === undefined) throw new Error('the bare server said nothing');
  return { child, port: message.port };
}

async function untilReady(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
    const ready = await fetch(`http://127.0.0.1:${port}/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await systemClock.sleep(100);
  }
  throw new Error('the server did not become ready within 30 s');
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no port was given');
  return address.port;
}

const rate = (ms: number): string => `${Math.round((ACCEPTED * 1_000) / ms).toLocaleString('en')}/s`;

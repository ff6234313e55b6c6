// A pooler in transaction mode is refused, one in session mode is not. Needs pgbouncer; skipped where there is none.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import { DatabasePooler } from '../../../shared/postgres/database-errors.ts';
import { schemaName } from '../../../shared/postgres/schema-name.ts';
import { testServerUrl } from '../../support/database.ts';

const NOBODY = 65_534;
const path = { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } };
const closings: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0)) await close();
});

function isInstalled(): boolean {
  try {
    execFileSync('pgbouncer', ['--version'], { ...path, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The URL of the test's server through a pooler of this mode. */
async function bundle(mode: 'transaction' | 'session'): Promise<string> {
  const server = new URL(testServerUrl());
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'onelane-pooler-'));
  chmodSync(directory, 0o755);
  const login = `user=${server.username}${server.password === '' ? '' : ` password=${server.password}`}`;
  writeFileSync(
    join(directory, 'pooler.ini'),
    `[databases]
through = host=${server.hostname} port=${server.port} dbname=${server.pathname.slice(1)} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
`,
  );
  const as = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const pooler = spawn('pgbouncer', ['-q', join(directory, 'pooler.ini')], { ...path, ...as, stdio: 'ignore' });
  closings.push(() => end(pooler, directory));
  await listens(port);
  return `postgres://${server.username}@127.0.0.1:${port}/through`;
}

async function end(pooler: ChildProcess, directory: string): Promise<void> {
  pooler.kill('SIGKILL');
  if (pooler.exitCode === null && pooler.signalCode === null) await once(pooler, 'exit');
  rmSync(directory, { recursive: true });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A server program that says nothing when it listens can only be tried. */
async function listens(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
    await sleep(10);
  }
  throw new Error('the pooler does not listen');
}

describe.skipIf(!isInstalled())('a pooler between us and the server', () => {
  const open = (url: string) =>
    openDatabase({ url, schema: schemaName('unused'), poolMax: 2, observe: () => undefined });

  it('in transaction mode is refused', async () => {
    await expect(open(await bundle('transaction'))).rejects.toBeInstanceOf(DatabasePooler);
  });

  it('in session mode is taken', async () => {
    await closeDatabase(await open(await bundle('session')));
  });
});

// The embedded server: made once, started again with its data, found by others, brought back when it dies.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../../shared/postgres/database.ts';
import { DatabaseRefused } from '../../../shared/postgres/database-errors.ts';
import { dataDirectory, runningPostmaster } from '../../../shared/postgres/embedded/data-directory.ts';
import { EmbeddedFailed } from '../../../shared/postgres/embedded/embedded-errors.ts';
import { findEmbeddedServer } from '../../../shared/postgres/embedded/find.ts';
import { schemaName } from '../../../shared/postgres/schema-name.ts';
import { ask, EmbeddedTest, gone } from '../../support/embedded.ts';

const template = new EmbeddedTest(null);
let templatePath = '';
const tests: EmbeddedTest[] = [];

beforeAll(async () => {
  templatePath = await template.directory('nothing');
  const server = await template.start(templatePath);
  await ask(server.url, 'create table kept (n integer)');
  await server.stop(10_000);
});
afterEach(async () => {
  for (const each of tests.splice(0)) await each.close();
});
afterAll(() => template.close());

function bundle(): EmbeddedTest {
  const test = new EmbeddedTest(templatePath);
  tests.push(test);
  return test;
}

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
const pidOf = (path: string) => runningPostmaster(dataDirectory(path))?.pid ?? 0;

describe('an embedded server', () => {
  it('is made on the first start: durable, UTF-8, loopback only, with a password of its own', async () => {
    const test = bundle();
    const path = join(await test.directory('nothing'), 'deep', '.onelane');
    const server = await test.start(path);
    expect(server.how).toBe('created');
    const [row] = await ask(
      server.url,
      `select current_setting('server_version_num')::int / 10000 as major, current_setting('server_encoding') as encoding,
         current_setting('listen_addresses') as listens, current_setting('fsync') as fsync, current_setting('password_encryption') as auth,
         (select datlocale from pg_database where datname = current_database()) as locale`,
    );
    expect(row).toEqual({
      major: 18,
      encoding: 'UTF8',
      listens: '127.0.0.1',
      fsync: 'on',
      auth: 'scram-sha-256',
      locale: 'C.UTF-8',
    });
    expect([path, join(path, 'cluster')].map(mode)).toEqual(['700', '700']);
    expect(['password', 'port', 'server.log'].map((name) => mode(join(path, name)))).toEqual(['600', '600', '600']);
    const wrong = new URL(server.url);
    wrong.password = 'wrong';
    const opened = openDatabase({ url: wrong.href, schema: schemaName('x'), poolMax: 2, observe: () => undefined });
    await expect(opened).rejects.toBeInstanceOf(DatabaseRefused);
  });

  it('stops without a trace of a process, and starts again on its port with its data', async () => {
    const test = bundle();
    const path = await test.directory();
    const first = await test.start(path);
    await ask(first.url, 'insert into kept values (1)');
    const pid = pidOf(path);
    expect(await findEmbeddedServer(path)).toBe(first.url);
    await Promise.all([first.stop(10_000), first.stop(10_000)]);
    await gone(pid, 0);
    expect(await findEmbeddedServer(path)).toBeNull();
    const second = await test.start(path);
    expect(second.how).toBe('started');
    expect(second.url).toBe(first.url);
    expect(await ask(second.url, 'select n from kept')).toEqual([{ n: 1 }]);
  });

  it('takes another port when its own was taken meanwhile', async () => {
    const test = bundle();
    const path = await test.directory();
    const thief = createServer();
    const port = Number(readFileSync(join(path, 'port'), 'utf8'));
    await new Promise<void>((resolve) => thief.listen(port, '127.0.0.1', resolve));
    try {
      const server = await test.start(path);
      expect(server.port).not.toBe(port);
      await ask(server.url, 'select 1');
    } finally {
      thief.close();
    }
  });

  it('killed like by a crash, comes back on the same URL with everything that was committed', async () => {
    const test = bundle();
    const path = await test.directory();
    const server = await test.start(path);
    await ask(server.url, 'insert into kept select generate_series(1, 1000)');
    process.kill(pidOf(path), 'SIGKILL');
    await test.starts(2);
    expect(await ask(server.url, 'select count(*)::int as n from kept')).toEqual([{ n: 1_000 }]);
    const pid = pidOf(path);
    await server.stop(10_000);
    await gone(pid, 0);
  });

  it('killed on purpose, stays dead until it is started again', async () => {
    const test = bundle();
    const path = await test.directory();
    const server = await test.start(path);
    await ask(server.url, 'insert into kept values (1)');
    await server.kill();
    expect(await findEmbeddedServer(path)).toBeNull();
    const again = await test.start(path);
    expect(await ask(again.url, 'select n from kept')).toEqual([{ n: 1 }]);
  });

  it('a dead server whose process id is somebody else by now does not keep it from starting', async () => {
    const test = bundle();
    const path = await test.directory();
    // Not our own: PostgreSQL disregards its parent.
    const lines = [process.ppid, join(path, 'cluster'), 1, 1, '', '127.0.0.1', '', 'ready'];
    writeFileSync(join(path, 'cluster', 'postmaster.pid'), lines.join('\n'), { mode: 0o600 });
    expect(await findEmbeddedServer(path)).toBeNull();
    expect((await test.start(path)).how).toBe('started');
  });

  it('a directory whose making was killed half way is made anew', async () => {
    const test = bundle();
    const path = await test.directory('nothing');
    const part = join(path, 'cluster.4711.part');
    mkdirSync(join(part, 'base'), { recursive: true });
    expect((await test.start(path)).how).toBe('created');
    expect(existsSync(part)).toBe(false);
  });

  it('a directory of another major version is refused and not touched', async () => {
    const test = bundle();
    const path = await test.directory();
    writeFileSync(join(path, 'cluster', 'PG_VERSION'), '17\n');
    const before = execFileSync('ls', ['-laR', join(path, 'cluster')]).toString();
    await expect(test.start(path)).rejects.toBeInstanceOf(EmbeddedFailed);
    expect(execFileSync('ls', ['-laR', join(path, 'cluster')]).toString()).toBe(before);
  });

  it('a setting that PostgreSQL does not know fails with what it said', async () => {
    const test = bundle();
    const path = await test.directory();
    writeFileSync(join(path, 'cluster', 'postgresql.conf'), 'no_such_setting = 1\n');
    await expect(test.start(path)).rejects.toThrow(/no_such_setting/);
  });
});

// Owners of an embedded server: one at a time, no orphan after their death, and whoever may not own one is told.
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { repairLinks } from '../../../shared/postgres/embedded/binaries.ts';
import { dataDirectory, runningPostmaster } from '../../../shared/postgres/embedded/data-directory.ts';
import { ask, EmbeddedTest, firstWords, giveTo, gone, NOBODY } from '../../support/embedded.ts';

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

const pidOf = (path: string) => runningPostmaster(dataDirectory(path))?.pid ?? 0;
const isRoot = process.getuid?.() === 0;

describe('owners of an embedded server', () => {
  it('two that start at once on an empty directory share one server, which the other takes over when its owner ends', async () => {
    const test = bundle();
    const path = await test.directory('nothing');
    const [one, other] = await Promise.all([test.own(path), test.own(path)]);
    if (one.said.kind !== 'has' || other.said.kind !== 'has') throw new Error('both have a server');
    expect([one.said.how, other.said.how].sort()).toEqual(['adopted', 'created']);
    expect(one.said.url).toBe(other.said.url);
    await ask(one.said.url, 'create table shared (n integer)');
    const [owner, borrower] = one.said.how === 'created' ? [one, other] : [other, one];
    const first = pidOf(path);
    await owner.end();
    await gone(first, 0);
    const server = await test.start(path);
    expect(await ask(server.url, 'select n from shared')).toEqual([]);
    await borrower.end();
  });

  it('an owner that is killed leaves no orphan, and the next start has the data', async () => {
    const test = bundle();
    const path = await test.directory();
    const owner = await test.own(path);
    if (owner.said.kind !== 'has') throw new Error(owner.said.sentence);
    await ask(owner.said.url, 'insert into kept values (1)');
    const pid = pidOf(path);
    owner.child.kill('SIGKILL');
    await gone(pid);
    const server = await test.start(path);
    expect(server.how).toBe('started');
    expect(await ask(server.url, 'select n from kept')).toEqual([{ n: 1 }]);
  });

  it('a server that lost its owner, but not yet its life, is adopted by the next start or outlived by it', async () => {
    const test = bundle();
    const path = await test.directory();
    const owner = await test.own(path);
    if (owner.said.kind !== 'has') throw new Error(owner.said.sentence);
    owner.child.kill('SIGKILL');
    const server = await test.start(path);
    await ask(server.url, 'select n from kept').catch(() => test.starts(2));
    await ask(server.url, 'select n from kept');
    await server.stop(10_000);
    expect(pidOf(path)).toBe(0);
  });

  it('after a kill of everything at once a start has the data', async () => {
    const test = bundle();
    const path = await test.directory();
    const owner = await test.own(path);
    if (owner.said.kind !== 'has') throw new Error(owner.said.sentence);
    await ask(owner.said.url, 'insert into kept select generate_series(1, 1000)');
    const pid = pidOf(path);
    process.kill(pid, 'SIGKILL');
    owner.child.kill('SIGKILL');
    const server = await test.start(path);
    expect(await ask(server.url, 'select count(*)::int as n from kept')).toEqual([{ n: 1_000 }]);
  });

  it('a watcher ends the server where the kernel does not', async () => {
    const program = fileURLToPath(new URL('../../support/guarded-sleeper.ts', import.meta.url));
    const owner = spawn(process.execPath, ['--import', 'jiti/register', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = await firstWords(owner);
    expect(Number(pid)).toBeGreaterThan(0);
    owner.kill('SIGKILL');
    await gone(Number(pid));
  });
});

describe.skipIf(!isRoot)('root and others', () => {
  it('an ordinary user makes, stops and starts a server', async () => {
    const test = bundle();
    const path = await test.directory('nothing');
    giveTo(path, NOBODY);
    const nobody = { uid: NOBODY, gid: NOBODY };
    const first = await test.own(path, nobody);
    expect(first.said).toMatchObject({ kind: 'has', how: 'created' });
    await first.end();
    // Root serves such a directory as its owner, and leaves nothing behind that the owner cannot use.
    const server = await test.start(path);
    await ask(server.url, 'create table by_root (n integer)');
    await server.stop(10_000);
    const again = await test.own(path, nobody);
    if (again.said.kind !== 'has') throw new Error(again.said.sentence);
    expect(await ask(again.said.url, 'select n from by_root')).toEqual([]);
    const pid = pidOf(path);
    again.child.kill('SIGKILL');
    await gone(pid);
  });

  it('the directory of another user is refused with what to do', async () => {
    const test = bundle();
    const path = await test.directory();
    const owner = await test.own(path, { uid: NOBODY, gid: NOBODY });
    expect(owner.said).toMatchObject({
      kind: 'failed',
      sentence: expect.stringMatching(/belongs to another user \(0\).*DATABASE_URL/) as unknown,
    });
  });
});

describe('library links', () => {
  it('that npm dropped are made again, beside the package when it cannot be written', async () => {
    const test = bundle();
    const root = await test.directory('nothing');
    const lib = join(root, 'native', 'lib');
    mkdirSync(lib, { recursive: true });
    writeFileSync(join(lib, 'libx.so.1.2'), '');
    const links = [{ source: 'native/lib/libx.so.1.2', target: 'native/lib/libx.so.1' }];
    writeFileSync(join(root, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    expect(repairLinks(root, join(root, 'spare'))).toBeNull();
    expect(lstatSync(join(lib, 'libx.so.1')).isSymbolicLink()).toBe(true);
    expect(repairLinks(root, join(root, 'spare'))).toBeNull();
    rmSync(join(lib, 'libx.so.1'));
    // A directory in the way of the link stands for a package that cannot be written, also as root.
    links.push({ source: 'native/lib/libx.so.1.2', target: 'native/gone/libx.so' });
    writeFileSync(join(root, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    const spare = repairLinks(root, join(root, 'spare'));
    expect(spare).toBe(join(root, 'spare', 'lib'));
    expect(existsSync(join(root, 'spare', 'lib', 'libx.so'))).toBe(true);
  });
});

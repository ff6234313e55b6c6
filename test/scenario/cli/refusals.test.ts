// Proves what a person reads when a start cannot be: one sentence, its code, and the right exit code.
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace('none');
});

afterEach(async () => {
  await place.close();
});

async function refusal(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = place.start([...args, '--json'], env);
  const { code } = await program.ended;
  const line =
    program
      .stderr()
      .split('\n')
      .find((each) => each.includes('"code"')) ?? '{}';
  // What --json promises for errors.
  return { exit: code, ...(JSON.parse(line) as { readonly code?: string; readonly message?: string }) };
}

const NOWHERE = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };

describe('a start is refused', () => {
  test('when the port is in use', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    // It listens on TCP.
    const { port } = blocker.address() as AddressInfo;
    const found = await refusal(['up', '--http-port', String(port)], NOWHERE);
    blocker.close();
    expect(found).toMatchObject({ exit: 1, code: 'port-in-use' });
    expect(found.message).toContain(String(port));
  });

  test('when a setting is out of bounds, with exit code 2', async () => {
    const found = await refusal(['up', '--lease', '1'], { ...NOWHERE, ONELANE_PARTITION: '4' });
    expect(found).toMatchObject({ exit: 2, code: 'setting-invalid' });
    expect(found.message).toContain('did you mean ONELANE_PARTITIONS');
    expect(found.message).toContain('--lease is "1"');
  });

  test('and the doctor says which', async () => {
    const { code, stdout } = await place.run(['doctor', '--http-host', 'not a host']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAIL {2}settings: --http-host is "not a host": give a host name/);
  });

  test('when other machines could write without a token', async () => {
    expect(await refusal(['api', '--http-host', '0.0.0.0'], NOWHERE)).toMatchObject({
      exit: 1,
      code: 'listening-insecure',
    });
  });

  test('in production without DATABASE_URL', async () => {
    expect(await refusal(['up'], { NODE_ENV: 'production' })).toMatchObject({ exit: 1, code: 'database-not-set' });
  });

  test.each(['api', 'consumer', 'status', 'migrate'])(
    'of %s without DATABASE_URL and without a server here',
    async (name) => {
      expect(await refusal([name])).toMatchObject({ exit: 1, code: 'database-not-set' });
    },
  );

  test('when the database does not answer', async () => {
    expect(await refusal(['consumer'], NOWHERE)).toMatchObject({ exit: 1, code: 'database-away' });
  });

  test('when the config is not there, or does not load', async () => {
    expect(await refusal(['up', '--config', 'gone.ts'])).toMatchObject({ exit: 1, code: 'config-not-found' });
    await place.put('broken.ts', 'export default nonsense(');
    expect(await refusal(['up', '--config', 'broken.ts'])).toMatchObject({ exit: 1, code: 'config-not-loaded' });
  });
});

describe('wrong usage ends with 2', () => {
  test.each([[['frobnicate']], [['up', '--frobnicate']], [['submit']], [[]]])('%j', async (args) => {
    expect((await place.run(args)).code).toBe(2);
  });

  test('and help and version with 0', async () => {
    expect(await place.run(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('Commands:') });
    expect(await place.run(['--version'])).toMatchObject({ code: 0 });
    for (const name of ['up', 'api', 'consumer', 'submit', 'status', 'migrate', 'doctor']) {
      const { code, stdout } = await place.run([name, '--help']);
      expect(code).toBe(0);
      for (const part of ['--config', '--json', 'Examples:', `onelane ${name}`]) expect(stdout).toContain(part);
    }
  });
});

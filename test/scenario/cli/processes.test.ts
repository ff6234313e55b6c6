// Proves a system of several processes on one database: shared partitions, a file of commands, status, doctor, migrate.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Said } from '../../support/cli/program.ts';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace('own');
});

afterEach(async () => {
  await place.close();
});

const holding = (count: number, consumers: number) => (said: Said) =>
  said['msg'] === 'leases-changed' &&
  Array.isArray(said['held']) &&
  said['held'].length === count &&
  said['consumers'] === consumers;

async function status(): Promise<Said> {
  const { stdout } = await place.run(['status', '--json']);
  // Our own program's answer.
  return JSON.parse(stdout) as Said;
}

/** Of all partitions together. */
async function lag(): Promise<number> {
  const { partitions } = await status();
  // Our own program's answer.
  return (partitions as readonly { readonly lagEntries: number }[]).reduce((sum, each) => sum + each.lagEntries, 0);
}

describe('consumers', () => {
  test('A second onelane consumer takes half of the partitions; stopping it gives them back', async () => {
    const first = await place.serve(['consumer']);
    await first.said(holding(16, 1));
    const second = await place.serve(['consumer']);
    await second.said(holding(8, 2));
    await first.said(holding(8, 2));
    const { consumers } = await status();
    expect(consumers).toMatchObject([{ pid: first.pid }, { pid: second.pid }]);

    const before = first.stderr().length;
    second.signal('SIGTERM');
    expect(await second.ended).toEqual({ code: 0, signal: null });
    await expect
      .poll(() => first.stderr().slice(before), { timeout: 20_000 })
      .toMatch(/"held":\[0,.*15\],"consumers":1/);
  });

  test('a consumer that was killed is replaced when its lease ends', async () => {
    const first = await place.serve(['consumer', '--lease', '1s']);
    await first.said(holding(16, 1));
    const second = await place.serve(['consumer', '--lease', '1s']);
    await second.said(holding(8, 2));
    first.signal('SIGKILL');
    await second.said(holding(16, 1));
  });

  test('health and metrics of a consumer', async () => {
    const consumer = await place.serve(['consumer', '--health-port', '0']);
    const { healthUrl } = await consumer.said((said) => said['status'] === 'serving');
    await consumer.said(holding(16, 1));
    expect((await fetch(`${healthUrl}/health/live`)).status).toBe(200);
    await expect.poll(async () => (await fetch(`${healthUrl}/health/ready`)).status).toBe(200);
    const text = await (await fetch(`${healthUrl}/metrics`)).text();
    expect(text).toContain('onelane_partition_lag_entries{partition="15"} 0');
    expect((await fetch(`${healthUrl}/nowhere`)).status).toBe(404);
  });
});

describe('onelane submit', () => {
  const line = (name: string, subject: string, data: object = {}) =>
    JSON.stringify({ id: `${name}-${subject}`, source: '/test', type: `account.${name}`, subject, data });

  test('tells every bad line by its number, stores the others, and ends with 1', async () => {
    await place.serve(['api']);
    await place.put('mixed.ndjson', [line('open', 'a'), '{broken', '', line('fly', 'a'), line('open', 'b')].join('\n'));
    const { code, stdout, stderr } = await place.run(['submit', 'mixed.ndjson']);
    expect(code).toBe(1);
    expect(stdout).toContain('4 commands: 2 accepted, 2 invalid, 0 not stored');
    expect(stderr).toMatch(/line 2: invalid \(json-invalid\): (?!Line)/);
    expect(stderr).toMatch(/line 4: invalid \(command-name-unknown\)/);
    expect(await lag()).toBe(2);
  });

  test('waits for outcomes, from standard input too, and a second run changes nothing', async () => {
    await place.serve(['up']);
    const lines = [
      line('open', 'a'),
      ...Array.from({ length: 300 }, (_, index) => line('deposit', 'a', { amount: index + 1 })),
    ];
    const file = lines.map((each, index) => each.replace('deposit-a', `deposit-a-${index}`)).join('\n');
    for (const _ of ['first', 'again']) {
      const { code, stdout } = await place.run(['submit', '-', '--wait'], file);
      expect(stdout).toContain('301 commands: 301 accepted, 0 invalid, 0 not stored; 301 applied, 0 rejected');
      expect(code).toBe(0);
    }
    const rejected = await place.run(['submit', '-', '--wait', '--json'], line('withdraw', 'a', { amount: 1_000_000 }));
    expect(rejected.code).toBe(1);
    expect(JSON.parse(rejected.stdout.split('\n')[0] ?? '')).toMatchObject({
      line: 1,
      status: 'rejected',
      code: 'insufficient-funds',
    });
  });

  test('tells scripts of every line, with the id that it is known by', async () => {
    await place.serve(['up']);
    const { stdout } = await place.run(['submit', '-', '--json'], line('open', 'a'));
    const [accepted, end] = stdout.split('\n').slice(0, 2);
    expect(JSON.parse(accepted ?? '')).toEqual({ line: 1, id: expect.any(String), status: 'accepted' });
    expect(JSON.parse(end ?? '')).toMatchObject({ status: 'submitted', lines: 1, accepted: 1 });
    const waited = await place.run(['submit', '-', '--wait', '--json'], line('open', 'a'));
    expect(JSON.parse(waited.stdout.split('\n')[0] ?? '')).toMatchObject({ line: 1, status: 'applied' });
  });

  test.each([['--json'], ['--json', '--wait']])(
    'that is interrupted says up to where it has sent, and ends with 1: %j',
    async (...flags) => {
      await place.serve(['api']);
      // Standard input that goes on, and no consumer: by itself it would never end.
      const submit = place.start(['submit', '-', ...flags]);
      submit.write(`${line('open', 'a')}\n\n${line('open', 'b')}\n${line('open', 'c')}`, 'more');
      await expect.poll(lag, { timeout: 20_000 }).toBe(2);
      submit.signal('SIGINT');
      expect(await submit.ended).toEqual({ code: 1, signal: null });
      const said = await submit.said(({ status: how }) => how === 'interrupted');
      expect(said).toMatchObject({ lines: 2, accepted: 2, lastLine: 3, unanswered: 0, firstUnanswered: null });
      expect(said).toMatchObject({ pending: flags.length === 1 ? 0 : 2 });
    },
  );

  test('says what is wrong with the file, and with a schema that no process has been in', async () => {
    for (const file of ['gone.ndjson', '.']) {
      expect(await place.run(['submit', file])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^onelane: .*\[file-unreadable\]\n$/),
      });
    }
    expect(await place.run(['submit', '-'], '')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no system in schema "onelane".*\[system-missing\]/),
    });
    expect((await place.run(['migrate'])).code).toBe(0);
    expect(await place.run(['submit', '-'], '')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[system-missing]'),
    });
  });
});

describe('a system', () => {
  test('migrates once, then says so; doctor finds what is missing, and all well in the end', async () => {
    const early = await place.run(['doctor']);
    expect(early.code).toBe(1);
    expect(early.stdout).toMatch(/FAIL {2}migrations: .*migration-needed/);
    expect(await place.run(['migrate'])).toMatchObject({ code: 0, stdout: expect.stringContaining('bank.sql') });
    expect(await place.run(['migrate'])).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing to do') });
    // A deployment migrates before anything starts: nothing is wrong then.
    expect(await place.run(['doctor'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/warn {2}system: /) });

    const consumer = await place.serve(['consumer']);
    await consumer.said(holding(16, 1));
    const well = await place.run(['doctor']);
    expect(well.stdout).toContain('All is well.');
    expect(well.code).toBe(0);
  });

  test('refuses another partition count, and a schema that is behind when it may not migrate', async () => {
    const behind = await place.run(['consumer', '--migrate', 'never']);
    expect(behind).toMatchObject({ code: 1, stderr: expect.stringContaining('[migration-needed]') });
    const api = await place.serve(['api', '--partitions', '4']);
    api.signal('SIGTERM');
    await api.ended;
    const other = await place.run(['api', '--http-port', '0', '--partitions', '8']);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('[system-mismatch]') });
  });

  test('refuses a table that is not as it is mapped', async () => {
    await place.put(
      'bank.sql',
      'create table account (id text primary key, revision bigint not null, balance integer not null)',
    );
    const start = await place.run(['consumer']);
    expect(start).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/table "account": column "balance" is integer.*\[table-mismatch\]/),
    });
    expect((await place.run(['doctor'])).stdout).toMatch(/FAIL {2}tables: .*balance/);
  });

  test('shows which resources are held, by which command and why', async () => {
    await place.put(
      'bank.sql',
      'create table public.account (id text primary key, revision bigint not null, balance bigint not null check (balance < 10))',
    );
    await place.serve(['up']);
    const deposit = (id: string, amount: number) =>
      JSON.stringify({ id, type: 'account.deposit', subject: 'a', data: { amount } });
    const open = JSON.stringify({ id: 'one', type: 'account.open', subject: 'a', data: {} });
    await place.run(['submit', '-', '--wait'], [open, deposit('two', 10), deposit('three', 1)].join('\n'));
    const { held } = await status();
    expect(held).toEqual([
      {
        resource: 'account/a',
        partition: expect.any(Number),
        since: expect.any(String),
        blocker: { id: expect.any(String), code: 'refused-by-database', detail: expect.stringContaining('check') },
        behind: 1,
      },
    ]);
    const { stdout } = await place.run(['status']);
    expect(stdout).toMatch(/^held resource +since +by command +code +behind it +detail$/m);
    expect(stdout).toMatch(/^account\/a +\S+ +\S+ +refused-by-database +1 {2}.*check/m);
  });

  test('shows people a table, and scripts a document', async () => {
    const consumer = await place.serve(['consumer', '--partitions', '3']);
    await consumer.said(holding(3, 1));
    const { stdout } = await place.run(['status']);
    expect(stdout).toMatch(/^partition {2}holder/m);
    expect(stdout).toMatch(new RegExp(`^ +2 {2}\\S+:${consumer.pid} `, 'm'));
    expect(stdout).toContain('parked commands 0, held resources 0, strays 0');
    expect(await status()).toMatchObject({ system: { partitions: 3, schema: 'onelane' }, setAside: { parked: 0 } });
  });
});

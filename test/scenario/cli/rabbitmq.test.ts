// Proves the program over RabbitMQ: a start without a broker, an alarm while it serves, and a database that went back in time.
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';
import { describeWithNode } from '../../support/rabbitmq/describe.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const PATIENCE = { timeout: 40_000 };
let place: Workplace | undefined;
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await place?.close();
  for (const close of closing.splice(0).reverse()) await close();
});

const open = { type: 'account.open', subject: '42', data: {} };
const deposit = { type: 'account.deposit', subject: '42', data: { amount: 1 } };

async function post(url: string, body: object, prefer = 'wait=20'): Promise<Response> {
  const headers = { 'content-type': 'application/json', prefer };
  return fetch(`${url}/v1/commands`, { method: 'POST', headers, body: JSON.stringify(body) });
}

const health = async (url: string, what: 'live' | 'ready'): Promise<number> =>
  (await fetch(`${url}/health/${what}`)).status;

await describeWithNode('with ONELANE_TRANSPORT=rabbitmq', {}, (rabbit) => {
  const env = (channel: string, url = rabbit().url) => ({
    ONELANE_CHANNEL: `${channel}-${process.pid}`,
    ONELANE_TRANSPORT: 'rabbitmq',
    RABBITMQ_URL: url,
    ONELANE_PARTITIONS: '4',
  });

  test('up without a broker says so at once and serves; when the broker comes it goes on by itself', async () => {
    const gate = await openTcpGate(`tcp://127.0.0.1:${new URL(rabbit().url).port}`);
    closing.push(() => gate.close());
    gate.refuse();
    const { port } = new URL(gate.url);
    place = await openWorkplace('own');
    const up = await place.serve(['up'], env('waiting', `amqp://guest:guest@127.0.0.1:${port}`));
    const said = await up.said((each) => each['msg'] === 'connection-lost' && each['what'] === 'broker');
    expect(JSON.stringify(said)).toMatch(
      new RegExp(`(no broker can be reached at|the broker at) amqp://127.0.0.1:${port}`),
    );
    expect(up.stderr()).not.toContain('guest:guest');
    expect(await health(up.url, 'live')).toBe(200);
    expect(await health(up.url, 'ready')).toBe(503);
    const refused = await post(up.url, open);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();

    gate.admit();
    await expect.poll(() => health(up.url, 'ready'), PATIENCE).toBe(200);
    const applied = await post(up.url, open);
    expect([applied.status, await applied.json()]).toMatchObject([200, { status: 'applied' }]);
  });

  test('a broker with an alarm answers 503 and shows in health; when it is over everything goes on', async () => {
    place = await openWorkplace('own');
    closing.push(() => rabbit().ctl('set_vm_memory_high_watermark', '0.6'));
    const up = await place.serve(['up'], env('alarm'));
    expect((await post(up.url, open)).status).toBe(200);
    await rabbit().ctl('set_vm_memory_high_watermark', '0');
    const first = await post(up.url, deposit);
    expect(first.status).toBe(503);
    expect(await health(up.url, 'ready')).toBe(503);
    expect(await health(up.url, 'live')).toBe(200);
    const second = await post(up.url, { ...deposit, subject: '43' });
    expect([second.status, await second.json()]).toMatchObject([503, { code: 'not-accepted' }]);
    await rabbit().ctl('set_vm_memory_high_watermark', '0.6');
    await expect.poll(() => health(up.url, 'ready'), PATIENCE).toBe(200);
    expect((await post(up.url, deposit)).status).toBe(200);
    // What was on its way when the alarm came was stored, though its caller could not be told.
    const state = await fetch(`${up.url}/v1/resources/account/42`);
    expect(await state.json()).toMatchObject({ balance: '2' });
  });

  test('202 has no position, and its token means pending until there is an outcome', async () => {
    place = await openWorkplace('own');
    const api = await place.serve(['api'], env('tokens'));
    const accepted = await post(api.url, open, 'respond-async');
    const body: unknown = await accepted.json();
    expect([accepted.status, body]).toMatchObject([202, { position: null, status: 'accepted' }]);
    const location = new URL(accepted.headers.get('location') ?? '', api.url);
    const pending = await fetch(location);
    expect([pending.status, await pending.json()]).toMatchObject([200, { status: 'pending' }]);
    await place.serve(['consumer'], env('tokens'));
    await expect.poll(async () => await (await fetch(location)).json(), PATIENCE).toMatchObject({ status: 'applied' });
  });

  test('a database that went back in time halts the lane; doctor says which commands must be sent again', async () => {
    place = await openWorkplace('own');
    const first = await place.serve(['up'], env('back'));
    for (const each of [open, deposit, deposit]) expect((await post(first.url, each)).status).toBe(200);
    first.signal('SIGTERM');
    await first.ended;
    const client = new pg.Client({ connectionString: place.databaseUrl ?? '' });
    await client.connect();
    await client.query('update onelane.tenure set commits = commits - 1 where commits > 0');
    await client.end();
    const second = await place.serve(['up'], env('back'));
    const said = await second.said((each) => each['msg'] === 'lane-halted');
    expect(said).toMatchObject({ code: 'log-diverged', detail: expect.stringContaining('have callers repeat') });
    const doctor = place.start(['doctor'], env('back'));
    await doctor.ended;
    expect(doctor.stdout()).toMatch(
      /what they sent since the database's last entry and until 20\S+Z, .* \(the database's last entry is of 20\S+Z\)/,
    );
  });
});

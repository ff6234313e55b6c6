// Proves the program over Kafka: a start without a broker, and consumers of which one stands still.
import { afterEach, expect, test } from 'vitest';
import type { Program, Said } from '../../support/cli/program.ts';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';
import { describeWithCluster } from '../../support/kafka/describe.ts';

const PATIENCE = { timeout: 40_000 };
let place: Workplace | undefined;

afterEach(async () => {
  await place?.close();
});

const open = { type: 'account.open', subject: '42', data: {} };

async function post(url: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json', prefer: 'wait=20' };
  return fetch(`${url}/v1/commands`, { method: 'POST', headers, body: JSON.stringify(body) });
}

const health = async (url: string, what: 'live' | 'ready'): Promise<number> =>
  (await fetch(`${url}/health/${what}`)).status;
const holding = (count: number) => (said: Said) =>
  said['msg'] === 'leases-changed' && Array.isArray(said['held']) && said['held'].length === count;

await describeWithCluster('with ONELANE_TRANSPORT=kafka', { nodes: 1 }, (cluster) => {
  /** Two systems on one topic would stop each other. */
  const env = (channel: string) => ({
    ONELANE_CHANNEL: channel,

    ONELANE_TRANSPORT: 'kafka',
    KAFKA_BROKERS: cluster().brokers.join(','),
    ONELANE_PARTITIONS: '4',
  });

  test('up without a broker says so at once and serves; when the broker comes it goes on by itself', async () => {
    await cluster().kill(1);
    place = await openWorkplace('own');
    const up = await place.serve(['up'], env('waiting'));
    const said = await up.said((each) => each['msg'] === 'connection-lost' && each['what'] === 'broker');
    expect(JSON.stringify(said)).toContain(`no broker can be reached at ${cluster().brokers.join(', ')}`);
    expect(await health(up.url, 'live')).toBe(200);
    expect(await health(up.url, 'ready')).toBe(503);
    const refused = await post(up.url, open);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();

    await cluster().restart(1);
    await expect.poll(() => health(up.url, 'ready'), PATIENCE).toBe(200);
    const applied = await post(up.url, open);
    expect([applied.status, await applied.json()]).toMatchObject([200, { status: 'applied' }]);
  });

  test('a consumer that is frozen is replaced within its session; woken, it takes its share again', async () => {
    place = await openWorkplace('own');
    const api = await place.serve(['api'], env('frozen'));
    const consumers: Program[] = [];
    for (const count of [4, 2]) {
      const consumer = await place.serve(['consumer'], { ...env('frozen'), ONELANE_LEASE: '1s' });
      consumers.push(consumer);
      await consumer.said(holding(count));
    }
    const [frozen, other] = consumers;
    if (frozen === undefined || other === undefined) throw new Error('there are two');
    await frozen.said(holding(2));
    frozen.signal('SIGSTOP');
    await other.said(holding(4));
    expect((await post(api.url, open)).status).toBe(200);
    const before = frozen.stderr().length;
    frozen.signal('SIGCONT');
    await expect.poll(() => frozen.stderr().slice(before), PATIENCE).toMatch(/"held":\[\d,\d\]/);
    expect((await post(api.url, { type: 'account.deposit', subject: '42', data: { amount: 1 } })).status).toBe(200);
    expect(frozen.stderr()).not.toContain('lane-halted');
  });
});

// Proves what callers are told while the broker or the database is away, that all recovers by itself, and how the server starts and stops.
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PortInUse, producerServer } from '../../../producers/http/server.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { memoryTransport } from '../../../shared/transport/memory/index.ts';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

let bundle: HttpBundle;
beforeEach(async () => {
  bundle = await httpBundle({
    submit: { graceMs: 100, inFlightEntries: 50 },
    http: { uploads: 1 },
    watch: { waiters: 3 },
  });
});
afterEach(() => bundle.close());

const deposit = (subject = '1', more: object = {}) => ({
  type: 'account.deposit',
  subject,
  data: { amount: 1 },
  ...more,
});
const eventually = (probe: () => Promise<unknown>) => expect.poll(probe, { timeout: 10_000 });

describe('while the broker is away', () => {
  it('nothing is accepted, the API says so at once and is not ready, but lives; then it goes on by itself', async () => {
    bundle.log.cut();
    const refused = await bundle.post(deposit());
    expect(refused).toMatchObject({ status: 503, body: { code: 'not-accepted', id: expect.any(String) } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    await eventually(async () => (await bundle.call('/health/ready')).status).toBe(503);
    expect((await bundle.call('/health/live')).status).toBe(200);
    expect(bundle.lane.commands()).toEqual([]);
    bundle.log.restore();
    await eventually(async () => (await bundle.post(deposit())).status).toBe(202);
    await eventually(async () => (await bundle.call('/health/ready')).status).toBe(200);
  });

  it('a caller who waits is told the same, and waits no longer', async () => {
    bundle.log.cut();
    expect(await bundle.post(deposit(), { prefer: 'wait=30' })).toMatchObject({
      status: 503,
      body: { code: 'not-accepted' },
    });
  });
});

describe('a publish whose end is unknown', () => {
  it('is told with the id, which may be repeated and takes effect once', async () => {
    bundle.fault = 'unknown-stored';
    const unknown = await bundle.post(deposit());
    expect(unknown).toMatchObject({ status: 503, body: { code: 'outcome-unknown' } });
    bundle.fault = 'none';
    const again = deposit('1', { id: unknown.body['id'] });
    await eventually(async () => (await bundle.post(again)).status).toBe(202);
    expect(new Set(bundle.lane.commands().map((command) => command.id))).toEqual(new Set([unknown.body['id']]));
  });
});

describe('while the database is away', () => {
  it('questions are answered 503, and commands are still taken', async () => {
    const { body } = await bundle.post(deposit());
    await bundle.db.database.pool.end();
    expect(await bundle.call(String(body['href']))).toMatchObject({ status: 503, body: { code: 'database-away' } });
    expect(await bundle.call('/v1/resources/account/1')).toMatchObject({
      status: 503,
      body: { code: 'database-away' },
    });
    expect(await bundle.call(`/v1/resources/account/1?after=x&wait=0.1`)).toMatchObject({ status: 503 });
    expect((await bundle.post(deposit())).status).toBe(202);
    expect(await bundle.post(deposit(), { prefer: 'wait=1' })).toMatchObject({
      status: 202,
      body: { status: 'pending' },
    });
    expect((await bundle.post(deposit(), { 'idempotency-key': 'k' })).status).toBe(202);
    expect((await bundle.call('/health/live')).status).toBe(200);
  });

  it('or takes a question and does not answer it, a resource is not waited for longer than a caller would', async () => {
    const client = await bundle.db.database.pool.connect();
    try {
      await client.query(`begin; lock table ${quoted(bundle.db.tables)}.account in access exclusive mode`);
      const startedMs = performance.now();
      expect(await bundle.call('/v1/resources/account/1')).toMatchObject({
        status: 503,
        body: { code: 'database-away' },
      });
      expect(performance.now() - startedMs).toBeLessThan(15_000);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  it('a lost listener comes back and waiters are answered', async () => {
    const { body } = await bundle.post(deposit());
    const asked = bundle.call(`/v1/commands/${String(body['id'])}?wait=20`);
    const kill = () =>
      bundle.db.database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'onelane-listener' and query like $1`,
        [`%${bundle.db.schema}%`],
      );
    await eventually(async () => (await kill()).rowCount).toBe(1);
    await bundle.lane.pass();
    expect(await asked).toMatchObject({ status: 200, body: { status: 'applied' } });
  });
});

describe('the bounds', () => {
  it('past the waiters a question is answered 429, and a caller who leaves makes room', async () => {
    const leave = new AbortController();
    const waiting = [1, 2, 3].map((at) =>
      bundle.call(`/v1/commands/${at}?wait=30`, { signal: leave.signal }).catch(() => null),
    );
    await eventually(async () => (await bundle.call('/v1/commands/x?wait=0.01')).status).toBe(429);
    expect(await bundle.post(deposit(), { prefer: 'wait=1' })).toMatchObject({
      status: 429,
      body: { code: 'refused-busy' },
    });
    leave.abort();
    await Promise.all(waiting);
    await eventually(async () => (await bundle.call('/v1/commands/x')).status).toBe(404);
  });

  it('past the uploads another one is answered 429', async () => {
    const headers = { 'content-type': 'application/x-ndjson' };
    const first = request(`${bundle.url}/v1/commands`, { method: 'POST', headers });
    const answered = new Promise<number>((resolve) =>
      first.on('response', (response) => resolve(response.resume().statusCode ?? 0)),
    );
    first.write(`${JSON.stringify(deposit())}\n`);
    await eventually(async () => bundle.lane.commands().length).toBe(1);
    expect((await bundle.post(JSON.stringify(deposit()), headers)).status).toBe(429);
    first.end();
    expect(await answered).toBe(200);
    expect((await bundle.post(JSON.stringify(deposit()), headers)).status).toBe(200);
  });
});

describe('the service', () => {
  const another = (port: number) =>
    producerServer({
      host: '127.0.0.1',
      port,
      database: bundle.db.database,
      system: bundle.db.system,
      transport: memoryTransport(bundle.log),
      types: new Map(),
      metrics: { contentType: 'text/plain', text: async () => '' },
      observe: () => undefined,
      clock: systemClock,
      random: Math.random,
    });

  it('says what to do when the port is in use, and leaves nothing behind', async () => {
    const second = another(Number(new URL(bundle.url).port));
    await expect(second.start()).rejects.toThrow(PortInUse);
    await expect(second.start()).rejects.toThrow(/ONELANE_HTTP_PORT/);
    expect(second.url()).toBe(null);
    await second.stop(100);
  });

  it('can be stopped without a start, twice, and started again', async () => {
    const service = another(0);
    await service.stop(100);
    await service.start();
    await Promise.all([service.stop(1_000), service.stop(1_000)]);
    await service.start();
    expect((await fetch(`${service.url() ?? ''}/health/live`)).status).toBe(200);
    await service.stop(1_000);
  });

  it('answers those who wait when it stops', async () => {
    const waiting = bundle.post(deposit(), { prefer: 'wait=30' });
    await eventually(async () => bundle.lane.commands().length).toBe(1);
    await bundle.server.stop(5_000);
    expect(await waiting).toMatchObject({ status: 202, body: { status: 'pending' } });
    await expect(fetch(bundle.url)).rejects.toThrow();
  });

  it('stops at its deadline although an upload never ends', async () => {
    const headers = { 'content-type': 'application/x-ndjson' };
    const upload = request(`${bundle.url}/v1/commands`, { method: 'POST', headers });
    const ended = new Promise<void>((resolve) => upload.on('error', () => resolve()).on('close', () => resolve()));
    upload.write(`${JSON.stringify(deposit())}\n`);
    await eventually(async () => bundle.lane.commands().length).toBe(1);
    await bundle.server.stop(400);
    await ended;
  });

  it('serves metrics as it is given them', async () => {
    expect(await bundle.call('/metrics')).toMatchObject({ status: 200, text: 'a_metric 1\n' });
  });
});

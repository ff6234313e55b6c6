// Proves the submission of one command over HTTP: accepted, waited for, expected, repeated.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpBundle, type Answer, type HttpBundle } from '../../support/producers/http-bundle.ts';
import type { PretendedOutcome } from '../../support/producers/pretend-lane.ts';

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle();
});
afterAll(() => bundle.close());

let subjects = 0;
const deposit = (more: Record<string, unknown> = {}) => ({
  type: 'account.deposit',
  subject: String(++subjects),
  data: { amount: 5 },
  ...more,
});

/** Posts and waits while a lane that decides like this runs. */
async function waited(body: unknown, outcome: PretendedOutcome, headers: Record<string, string> = {}): Promise<Answer> {
  const following = bundle.lane.follow(() => outcome);
  try {
    return await bundle.post(body, { prefer: 'wait=10', ...headers });
  } finally {
    await following.stop();
  }
}

const APPLIED = { kind: 'applied', revision: 3, reply: { balance: 7 } } as const;

describe('one command', () => {
  it('is accepted with its place in the log and a link to ask', async () => {
    const command = deposit();
    const { status, body, headers } = await bundle.post(command);
    expect(status).toBe(202);
    expect(body).toMatchObject({ type: 'account.deposit', subject: command.subject, status: 'accepted' });
    expect(body['id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(Number.isInteger(body['position']) && Number.isInteger(body['partition'])).toBe(true);
    expect(headers.get('location')).toBe(body['href']);
  });

  it('stands in the log as it was given', async () => {
    const data = { zeta: 1, alpha: ['ü', '\u0000', null, 1.5], nested: { deep: true } };
    const { body } = await bundle.post({
      type: 'account.import',
      subject: '900',
      data,
      source: '/erp',
      time: '2026-02-03T04:05:06.789+01:00',
    });
    const logged = bundle.lane.commands().find((command) => command.id === body['id']);
    expect(logged).toMatchObject({ data, source: '/erp', subject: '900', name: 'import' });
    expect(logged?.timeMs).toBe(Date.parse('2026-02-03T03:05:06.789Z'));
  });

  it('may be a CloudEvent, whose id and source are kept', async () => {
    const event = {
      specversion: '1.0',
      id: 'order-77',
      source: '/shop',
      type: 'account.deposit',
      subject: '901',
      data: { amount: 1 },
      comexample: 'x',
    };
    const answer = await bundle.post(event, { 'content-type': 'application/cloudevents+json; charset=utf-8' });
    expect(answer.status).toBe(202);
    expect(answer.body['id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8/);
    expect((await bundle.post(event)).body['id']).toBe(answer.body['id']);
    expect((await bundle.post({ ...event, source: '/other' })).body['id']).not.toBe(answer.body['id']);
  });

  it('keeps a UUID as its id, and carries the trace', async () => {
    const id = '0198C2E4-0000-7000-8000-0000000000AA';
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const { body } = await bundle.post(deposit({ id }), { traceparent });
    expect(body['id']).toBe(id.toLowerCase());
    const text = bundle.log.partitions
      .flatMap((partition) => bundle.log.read(partition, 0, { count: 1_000, bytes: 1e9 }))
      .map((delivery) => Buffer.from(delivery.bytes).toString());
    expect(text.some((each) => each.includes(id.toLowerCase()) && each.includes(traceparent))).toBe(true);
  });
});

describe('a command that waits', () => {
  it('is answered with what was applied', async () => {
    const { status, body, headers } = await waited(deposit(), APPLIED);
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'applied', revision: 3, reply: { balance: 7 } });
    expect(headers.get('preference-applied')).toBe('wait=10');
  });

  it.each([
    ['insufficient-funds', 409, 'rejected'],
    ['revision-mismatch', 412, 'revision-mismatch'],
    ['subject-not-canonical', 422, 'subject-not-canonical'],
    ['constructor', 409, 'rejected'],
  ])('is told that it was rejected: %s', async (code, status, kind) => {
    const answer = await waited(deposit(), { kind: 'rejected', code, detail: 'no' });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.body).toMatchObject({
      code,
      type: `urn:onelane:problem:${kind}`,
      outcome: { status: 'rejected', code },
    });
  });

  it('is told that it is parked: 202, and why', async () => {
    const answer = await waited(deposit(), { kind: 'parked' });
    expect(answer).toMatchObject({ status: 202, body: { status: 'parked', code: 'decide-threw', number: 1 } });
    expect(answer.body['href']).toBe(answer.headers.get('location'));
  });

  it('is still pending when the time is up, and leaves no waiter', async () => {
    const answer = await bundle.post(deposit(), { prefer: 'respond-async, wait=1' });
    expect(answer).toMatchObject({ status: 202, body: { status: 'pending' } });
    expect(answer.headers.get('preference-applied')).toBe('wait=1');
  });

  it('does not wait when the preference cannot be understood', async () => {
    const answer = await bundle.post(deposit(), { prefer: 'wait=soon' });
    expect(answer).toMatchObject({ status: 202, body: { status: 'accepted' } });
    expect(answer.headers.get('preference-applied')).toBe(null);
  });
});

describe('a repeat', () => {
  it('is answered with the first outcome', async () => {
    const command = deposit({ id: 'once', source: '/shop' });
    const first = await waited(command, APPLIED);
    const again = await waited({ ...command, time: '2026-01-01T00:00:00Z' }, { kind: 'applied', revision: 99 });
    expect(again.body).toMatchObject({ id: first.body['id'], revision: 3 });
  });

  it('with other content is refused', async () => {
    const command = deposit({ id: 'twice', source: '/shop' });
    await waited(command, APPLIED);
    const other = await waited({ ...command, data: { amount: 6 } }, APPLIED);
    expect(other).toMatchObject({ status: 422, body: { code: 'id-reused' } });
  });
});

describe('an id of another resource', () => {
  it('is refused when the lane has passed it and recorded nothing for this one', async () => {
    const command = deposit({ id: 'thrice', source: '/shop' });
    await waited(command, APPLIED);
    const other = await waited(deposit({ id: 'thrice', source: '/shop' }), { kind: 'stray' });
    expect(other).toMatchObject({ status: 422, body: { code: 'id-reused' } });
  });
});

describe('an Idempotency-Key', () => {
  it('makes the id, from caller and key, quoted or bare', async () => {
    const command = deposit();
    const ids = await Promise.all(
      ['"key-1"', 'key-1', ' key-1 '].map(
        async (key) => (await bundle.post(command, { 'idempotency-key': key })).body['id'],
      ),
    );
    expect(new Set(ids).size).toBe(1);
    const other = await bundle.post({ ...command, source: '/other' }, { 'idempotency-key': 'key-1' });
    expect(other.body['id']).not.toBe(ids[0]);
  });

  it('depends on the caller also when it is a UUID', async () => {
    const key = '0198c2e4-0000-7000-8000-0000000000bb';
    const one = await bundle.post(deposit({ source: '/a' }), { 'idempotency-key': key });
    const two = await bundle.post(deposit({ source: '/b' }), { 'idempotency-key': key });
    expect(one.body['id']).not.toBe(two.body['id']);
  });

  it('gets a repeat the first outcome, and another command 422 without waiting', async () => {
    const command = deposit();
    const headers = { 'idempotency-key': 'order-1' };
    const first = await waited(command, APPLIED, headers);
    expect((await waited(command, APPLIED, headers)).body).toMatchObject({ id: first.body['id'], revision: 3 });
    const reused = { status: 422, body: { code: 'idempotency-key-reused', id: first.body['id'] } };
    expect(await bundle.post({ ...command, data: { amount: 6 } }, headers)).toMatchObject(reused);
    expect(await bundle.post(deposit(), headers)).toMatchObject(reused);
  });

  it.each(['', '"', 'a"b', 'x'.repeat(300)])('that cannot be used is refused: %j', async (key) => {
    expect(await bundle.post(deposit(), { 'idempotency-key': key })).toMatchObject({
      status: 400,
      body: { code: 'idempotency-key-invalid' },
    });
  });

  it('beside an id is refused', async () => {
    const answer = await bundle.post(deposit({ id: 'x' }), { 'idempotency-key': 'y' });
    expect(answer).toMatchObject({ status: 400, body: { code: 'idempotency-key-invalid' } });
  });
});

describe('an expected revision', () => {
  it.each([
    ['if-match', '"7"', 7],
    ['if-none-match', '*', 0],
  ])('comes from %s: %s', async (name, value, revision) => {
    const { body } = await bundle.post(deposit(), { [name]: value });
    expect(bundle.lane.commands().find((command) => command.id === body['id'])?.expectedRevision).toBe(revision);
  });

  it.each([
    [{ 'if-match': 'W/"7"' }],
    [{ 'if-match': '7' }],
    [{ 'if-match': '"7", "8"' }],
    [{ 'if-match': '*' }],
    [{ 'if-match': '"x"' }],
    [{ 'if-match': '"99999999999999999999"' }],
    [{ 'if-none-match': '"7"' }],
    [{ 'if-match': '"7"', 'if-none-match': '*' }],
  ])('that cannot be read is refused: %j', async (headers) => {
    expect(await bundle.post(deposit(), headers)).toMatchObject({
      status: 400,
      body: { code: 'precondition-invalid' },
    });
  });

  it('must not be given twice, unless it is the same', async () => {
    expect((await bundle.post(deposit({ expectedrevision: 7 }), { 'if-match': '"7"' })).status).toBe(202);
    expect((await bundle.post(deposit({ expectedrevision: 8 }), { 'if-match': '"7"' })).status).toBe(400);
  });
});

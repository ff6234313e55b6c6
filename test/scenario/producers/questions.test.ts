// Proves the questions: what became of a command, and the state of a resource, with and without waiting.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';
import type { PretendedOutcome } from '../../support/producers/pretend-lane.ts';

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle();
});
afterAll(() => bundle.close());

let subjects = 0;
const fresh = () => String(++subjects);
const deposit = (subject = fresh(), more: Record<string, unknown> = {}) => ({
  type: 'account.deposit',
  subject,
  data: { amount: 5 },
  ...more,
});

/** A command with this outcome: its id, and where to ask. */
async function settled(outcome: PretendedOutcome, command: object = deposit()): Promise<{ id: string; href: string }> {
  const { body } = await bundle.post(command);
  await bundle.lane.pass(() => outcome);
  return { id: String(body['id']), href: String(body['href']) };
}

const APPLIED = { kind: 'applied', revision: 4, reply: ['x'] } as const;

describe('GET /v1/commands/{id}', () => {
  it.each([
    [APPLIED, { status: 'applied', revision: 4, reply: ['x'] }],
    [
      { kind: 'rejected', code: 'no-funds', detail: 'none' } as const,
      { status: 'rejected', code: 'no-funds', detail: 'none' },
    ],
    [{ kind: 'parked' } as const, { status: 'parked', code: 'decide-threw', number: 1 }],
  ])('tells the outcome: %j', async (outcome, expected) => {
    const { id, href } = await settled(outcome);
    for (const path of [href, `/v1/commands/${id}`, `/v1/commands/${id.toUpperCase()}?wait=5`]) {
      expect(await bundle.call(path)).toMatchObject({ status: 200, body: { id, ...expected } });
    }
  });

  it('says pending with the token while the lane has not come to it, and unknown without', async () => {
    const { body } = await bundle.post(deposit());
    expect(await bundle.call(String(body['href']))).toMatchObject({
      status: 200,
      body: { status: 'pending', position: body['position'] },
    });
    expect(await bundle.call(`/v1/commands/${String(body['id'])}`)).toMatchObject({
      status: 404,
      body: { code: 'command-unknown' },
    });
    await bundle.lane.pass();
  });

  it('waits for the outcome', async () => {
    const { body } = await bundle.post(deposit());
    const asked = bundle.call(`${String(body['href'])}&wait=20`);
    await expect.poll(() => bundle.call('/health/live').then((answer) => answer.status)).toBe(200);
    await bundle.lane.pass(() => APPLIED);
    expect(await asked).toMatchObject({ status: 200, body: { status: 'applied' } });
  });

  it('is heard without a hint, too: the poll is the fallback', async () => {
    const { body } = await bundle.post(deposit());
    const asked = bundle.call(`/v1/commands/${String(body['id'])}?wait=20`);
    await bundle.lane.pass(() => APPLIED, 'without-hint');
    expect(await asked).toMatchObject({ status: 200, body: { status: 'applied' } });
  });

  it('says unknown when the lane has passed it and nothing is recorded', async () => {
    const { href } = await settled({ kind: 'stray' });
    expect(await bundle.call(href)).toMatchObject({ status: 404, body: { code: 'command-unknown' } });
  });

  it('names an id of the caller as the caller did, with its source', async () => {
    expect(await bundle.call('/v1/commands/order-17')).toMatchObject({
      status: 404,
      body: { detail: expect.stringMatching(/^No outcome is known for id "order-17" without a source: .*\?source=/) },
    });
    expect(await bundle.call('/v1/commands/order-17?source=/shop')).toMatchObject({
      status: 404,
      body: { detail: expect.stringMatching(/^No outcome is known for id "order-17" from source "\/shop"\./) },
    });
  });

  it('says that an id stands for another command', async () => {
    const id = '0198c2e4-0000-7000-8000-00000000c001';
    const subject = fresh();
    await settled(APPLIED, deposit(subject, { id }));
    const { href } = await settled({ kind: 'stray' }, deposit(subject, { id, data: { amount: 6 } }));
    expect(await bundle.call(href)).toMatchObject({ status: 422, body: { code: 'id-reused' } });
    const { href: elsewhere } = await settled({ kind: 'stray' }, deposit(fresh(), { id }));
    expect(await bundle.call(elsewhere)).toMatchObject({ status: 422, body: { code: 'id-reused' } });
  });

  it('asks which resource is meant when several used the id', async () => {
    const id = '0198c2e4-0000-7000-8000-00000000c002';
    const [one, two] = [fresh(), fresh()];
    await settled(APPLIED, deposit(one, { id }));
    await settled(APPLIED, deposit(two, { id }));
    const answer = await bundle.call(`/v1/commands/${id}`);
    expect(answer).toMatchObject({ status: 409, body: { code: 'command-ambiguous' } });
    expect(answer.body['resources']).toHaveLength(2);
    const named = await bundle.call(`/v1/commands/${id}?resource=account/${two}`);
    expect(named).toMatchObject({ status: 200, body: { resource: `account/${two}` } });
  });

  it("takes a caller's own id, with its source", async () => {
    await settled(APPLIED, deposit(fresh(), { id: 'mine / 1', source: '/erp' }));
    const path = `/v1/commands/${encodeURIComponent('mine / 1')}`;
    expect((await bundle.call(`${path}?source=/erp`)).status).toBe(200);
    expect((await bundle.call(path)).status).toBe(404);
  });

  it.each(['wait=-1', 'wait=x', 'resource=&wait=x'])('refuses a query that cannot be read: %s', async (query) => {
    const answer = await bundle.call(`/v1/commands/x?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'query-invalid', pointer: '/wait' } });
  });

  it.each(['x', 'W10', encodeURIComponent('[1]'), 'A'.repeat(3_000)])(
    'refuses a token that is not ours',
    async (token) => {
      expect(await bundle.call(`/v1/commands/x?after=${token}`)).toMatchObject({
        status: 400,
        body: { code: 'after-invalid' },
      });
    },
  );

  it('answers HEAD like GET without a body', async () => {
    const { href } = await settled(APPLIED);
    expect(await bundle.call(href, { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });
});

describe('GET /v1/resources/{type}/{id}', () => {
  const insert = (table: string, values: readonly unknown[]) =>
    bundle.db.database.pool.query(`insert into ${quoted(bundle.db.tables)}.${table} values ($1, $2, $3)`, [...values]);

  it('tells the state, numbers without loss, with its revision as ETag', async () => {
    const subject = fresh();
    await insert('account', [subject, 7, '9007199254740993']);
    const answer = await bundle.call(`/v1/resources/account/${subject}`);
    expect(answer).toMatchObject({ status: 200, body: { balance: '9007199254740993' } });
    expect(answer.headers.get('etag')).toBe('"7"');
  });

  it.each(['a/b.ts', 'ü?#%25 &', '../x', '%2F'])('takes any id, with slashes encoded or not: %s', async (path) => {
    await insert('note', [path, 1, path]);
    expect(await bundle.call(`/v1/resources/note/${encodeURIComponent(path)}`)).toMatchObject({
      status: 200,
      body: { body: path },
    });
  });

  it('takes slashes as they are', async () => {
    await insert('note', ['src/lib/x.ts', 1, 'x']);
    expect((await bundle.call('/v1/resources/note/src/lib/x.ts')).status).toBe(200);
  });

  it.each([
    ['account/123456', 404, 'resource-unknown'],
    ['account/x', 404, 'resource-unknown'],
    ['account/007', 422, 'subject-not-canonical'],
    ['nothing/1', 404, 'resource-unknown'],
    ['__proto__/1', 404, 'resource-unknown'],
    ['note/%00', 422, 'subject-invalid'],
    [`note/${'x'.repeat(600)}`, 422, 'subject-invalid'],
    ['note/%ff', 400, 'url-invalid'],
    ['note/', 400, 'query-invalid'],
  ])('%s: %i %s', async (path, status, code) => {
    expect(await bundle.call(`/v1/resources/${path}`)).toMatchObject({ status, body: { code } });
  });

  it('reads after a command: waits for its outcome', async () => {
    const subject = fresh();
    const { body } = await bundle.post(deposit(subject));
    const asked = bundle.call(`/v1/resources/account/${subject}?after=${String(body['id'])}&wait=20`);
    await insert('account', [subject, 1, 5]);
    await bundle.lane.pass(() => APPLIED);
    expect(await asked).toMatchObject({ status: 200, body: { balance: '5' } });
  });

  it('does not read after a parked command', async () => {
    const subject = fresh();
    const { id } = await settled({ kind: 'parked' }, deposit(subject));
    expect(await bundle.call(`/v1/resources/account/${subject}?after=${id}`)).toMatchObject({
      status: 409,
      body: { code: 'command-parked' },
    });
  });

  it('gives up when there is no outcome in time', async () => {
    const answer = await bundle.call(`/v1/resources/account/1?after=0198c2e4-0000-7000-8000-00000000dead&wait=0.1`);
    expect(answer).toMatchObject({ status: 504, body: { code: 'outcome-pending' } });
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

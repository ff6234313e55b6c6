// Proves the submission of one command over HTTP: accepted, waited for, asked for, repeated.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

let it$: HttpBundle;
beforeAll(async () => {
  it$ = await httpBundle();
});
afterAll(() => it$.close());

const deposit = (subject: string, amount = 5) => ({ type: 'account.deposit', subject, data: { amount } });

describe('one command', () => {
  it('is accepted with its place in the log and a link to ask', async () => {
    const { status, body, headers } = await it$.post(deposit('42'));
    expect(status).toBe(202);
    expect(body).toMatchObject({ type: 'account.deposit', subject: '42', status: 'accepted', position: 0 });
    expect(headers.get('location')).toBe(body['href']);
    const pending = await it$.call(String(body['href']));
    expect(pending).toMatchObject({ status: 200, body: { status: 'pending', id: body['id'] } });
    expect((await it$.call(`/v1/commands/${String(body['id'])}`)).status).toBe(404);
    await it$.lane.pass();
    expect(await it$.call(String(body['href']))).toMatchObject({
      status: 200,
      body: { id: body['id'], status: 'applied', revision: 1, reply: { ok: true }, resource: 'account/42' },
    });
  });

  it('is answered with its outcome when it waits', async () => {
    const following = it$.lane.follow();
    const { status, body, headers } = await it$.post(deposit('43'), { prefer: 'wait=5' });
    await following.stop();
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { status: 'applied', revision: 1, reply: { ok: true } },
    });
    expect(headers.get('preference-applied')).toBe('wait=5');
  });
});

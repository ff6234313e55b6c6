// Proves the API together with real lanes on real PostgreSQL: what is answered is what was decided and written.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpBundle, type Answer, type HttpBundle } from '../../support/producers/http-bundle.ts';
import { openLanes, type Lanes } from '../../support/lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../../support/lane-types.ts';

let bundle: HttpBundle;
let lanes: Lanes;
beforeAll(async () => {
  // No notifier runs here: the poll alone brings the outcomes, often.
  bundle = await httpBundle({ watch: { pollMs: 20 } }, { types: scenarioTypes, sql: SCENARIO_SQL });
  const { db } = bundle;
  lanes = openLanes(bundle.log, {
    ...db,
    lanePool: db.lanePool,
    types: scenarioTypes(db.tables),
    batchCountMax: 1_000,
  });
  lanes.start();
});
afterAll(async () => {
  await lanes.stop();
  await bundle.close();
});

let subjects = 0;
const fresh = () => String(++subjects);
const add = (subject: string, by: number, more: object = {}) => ({
  type: 'account.add',
  subject,
  data: { by },
  ...more,
});
const waited = (command: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  bundle.post(command, { prefer: 'wait=20', ...headers });
const state = (subject: string, query = '') => bundle.call(`/v1/resources/account/${subject}${query}`);

describe('the API and its lanes', () => {
  it('apply a command and read what it wrote, with its revision as ETag', async () => {
    const subject = fresh();
    expect(await waited(add(subject, 5))).toMatchObject({ status: 200, body: { status: 'applied', revision: 1 } });
    expect(await waited(add(subject, 6))).toMatchObject({ status: 200, body: { revision: 2 } });
    const read = await state(subject);
    expect(read).toMatchObject({ status: 200, body: { balance: '11' } });
    expect(read.headers.get('etag')).toBe('"2"');
  });

  it('read their writes', async () => {
    const subject = fresh();
    const { body } = await bundle.post(add(subject, 7));
    expect(await state(subject, `?after=${String(body['id'])}`)).toMatchObject({ status: 200, body: { balance: '7' } });
  });

  it('answer a repeat with the first outcome and change nothing', async () => {
    const command = add(fresh(), 5, { id: 'pay-1', source: '/shop' });
    const first = await waited(command);
    const again = await waited(command);
    expect([first.body['id'], first.body['revision']]).toEqual([again.body['id'], again.body['revision']]);
    expect(await state(command.subject)).toMatchObject({ body: { balance: '5' } });
  });

  it('refuse an id that stands for another command, and apply nothing of it', async () => {
    const command = add(fresh(), 5, { id: 'pay-2', source: '/shop' });
    await waited(command);
    expect(await waited({ ...command, data: { by: 6 } })).toMatchObject({ status: 422, body: { code: 'id-reused' } });
    expect(await state(command.subject)).toMatchObject({ body: { balance: '5' } });
  });

  it('apply only at the expected revision', async () => {
    const subject = fresh();
    expect((await waited(add(subject, 1), { 'if-none-match': '*' })).status).toBe(200);
    const etag = (await state(subject)).headers.get('etag') ?? '';
    expect((await waited(add(subject, 1), { 'if-match': etag })).status).toBe(200);
    const late = await waited(add(subject, 1), { 'if-match': etag });
    expect(late).toMatchObject({ status: 412, body: { code: 'revision-mismatch', outcome: { revision: 2 } } });
    expect((await waited(add(subject, 1), { 'if-none-match': '*' })).status).toBe(412);
  });

  it('park a command that fails, hold its resource, and say so', async () => {
    const subject = fresh();
    expect((await waited(add(subject, 1))).status).toBe(200);
    const parked = await waited({ type: 'account.explode', subject, data: {} });
    expect(parked).toMatchObject({ status: 202, body: { status: 'parked', code: 'decide-threw', number: 1 } });
    const behind = await waited(add(subject, 1));
    expect(behind).toMatchObject({ status: 202, body: { status: 'parked', code: 'resource-held', number: 2 } });
    expect(await state(subject, `?after=${String(behind.body['id'])}`)).toMatchObject({
      status: 409,
      body: { code: 'command-parked' },
    });
    expect(await state(subject)).toMatchObject({ status: 200, body: { balance: '1' } });
  });

  it('park what the database refuses', async () => {
    const subject = fresh();
    expect(await waited(add(subject, -1))).toMatchObject({
      status: 202,
      body: { status: 'parked', code: 'refused-by-database' },
    });
  });

  it('apply many lines in order, and their repeats not again', async () => {
    const lines = Array.from({ length: 2_000 }, (_, at) =>
      JSON.stringify(add(`9${at % 50}`, 1, { id: `line-${at}`, source: '/file' })),
    );
    const send = () => bundle.post(lines.join('\n'), { 'content-type': 'application/x-ndjson' });
    const [first, again] = [await send(), await send()];
    expect(first.text.match(/"status":"accepted"/g)).toHaveLength(2_000);
    // What was accepted last of each resource has been applied when everything has.
    const last = again.text
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { readonly id: string });
    for (let at = 1_950; at < 2_000; at++) {
      expect(await state(`9${at % 50}`, `?after=${last[at]?.id ?? ''}&wait=20`)).toMatchObject({
        status: 200,
        body: { balance: '40' },
      });
    }
  });
});

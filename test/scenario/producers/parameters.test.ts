// Proves what is said of paths and queries that are not what they should be, and that every wait has the same bound.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle({ http: { waitMs: 1_000 } });
});
afterAll(() => bundle.close());

const deposit = { type: 'account.deposit', subject: '1', data: { amount: 1 } };
const never = '0198c2e4-0000-7000-8000-00000000dead';

describe('a parameter', () => {
  it.each([
    ['/v1/commands/x?wate=5', 'wate', 'after, resource, source, wait'],
    ['/v1/resources/account/3?aftr=3', 'aftr', 'after, source, wait'],
    ['/v1/resources/account/3?after=3&after[]=3', 'after[]', 'after, source, wait'],
  ])('that is not known is refused by its name, with those that are: %s', async (path, name, known) => {
    for (const method of ['GET', 'HEAD']) expect((await bundle.call(path, { method })).status).toBe(400);
    const { body, headers } = await bundle.call(path);
    expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ code: 'query-invalid', pointer: `/${name}` });
    expect(body['detail']).toContain(`${name}: is not known here: there are ${known}.`);
  });

  it('of a submission is refused before anything is stored: what it asks for stands in headers', async () => {
    const answer = await bundle.call('/v1/commands?wait=5', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(deposit),
    });
    expect(answer).toMatchObject({ status: 400, body: { code: 'query-invalid', pointer: '/wait' } });
    expect(answer.body['detail']).toMatch(/^wait: is not known here: .*Prefer: wait=5/);
    expect(bundle.lane.commands()).toEqual([]);
  });

  it.each([
    ['/v1/commands/x?wait=soon', 'wait: must be a number of seconds'],
    ['/v1/commands/x?wait=1&wait=2', 'wait: must be a number of seconds'],
    ['/v1/commands/x?wait=-1', 'wait: must not be negative'],
    ['/v1/commands/x?source=', 'source: is empty'],
    ['/v1/commands/x?source=a&source=b', 'source: must be given once'],
    [`/v1/commands/${'x'.repeat(300)}`, 'id: has more than 256 characters'],
    ['/v1/commands/', 'id: is empty: write /v1/commands/{id}'],
    ['/v1/resources/account/', 'id: is empty: write /v1/resources/{type}/{id}'],
  ])('that cannot be used is told in a sentence: %s', async (path, sentence) => {
    const { status, body } = await bundle.call(path);
    expect([status, body['code']]).toEqual([400, 'query-invalid']);
    expect(body['detail']).toContain(sentence);
    expect(body['pointer']).toBe(`/${sentence.split(':', 1)[0] ?? ''}`);
  });
});

describe('a path where nothing is', () => {
  it.each([
    ['/v1/commands/x/', '/v1/commands/{id}'],
    ['/v1/commands/a/b', '%2F'],
    ['/v1/resources/account', '/v1/resources/{type}/{id}'],
    ['/v1/resources/', '/v1/resources/{type}/{id}'],
    ['/health/live/', 'without the slash at its end'],
    ['/openapi.json/', 'without the slash at its end'],
  ])('says what to write instead: %s', async (path, hint) => {
    const { status, body } = await bundle.call(path);
    expect([status, body['code']]).toEqual([404, 'route-unknown']);
    expect(body['detail']).toContain(hint);
  });

  it('says so also for a method that has a slash too many', async () => {
    const answer = await bundle.call('/v1/commands/', { method: 'POST', body: '{}' });
    expect(answer).toMatchObject({ status: 405, body: { code: 'method-not-allowed' } });
    expect(answer.body['detail']).toContain('without the slash at its end');
  });

  it('or no resource is, names the slash that became part of the id', async () => {
    for (const path of ['/v1/resources/account/1/', '/v1/resources/note/x/']) {
      const { status, body } = await bundle.call(path);
      expect([status, body['code']]).toEqual([404, 'resource-unknown']);
      expect(body['detail']).toContain('the slash at its end is part of the id');
    }
  });
});

describe('a wait that is longer than may be', () => {
  it.each([`/v1/commands/${never}?wait=99999`, `/v1/commands/${never}?wait=1e300`])(
    'is cut to the longest: %s',
    async (path) => {
      const startedMs = performance.now();
      expect(await bundle.call(path)).toMatchObject({ status: 404, body: { code: 'command-unknown' } });
      expect(performance.now() - startedMs).toBeGreaterThan(900);
    },
  );

  it('is cut where it is the default', async () => {
    const startedMs = performance.now();
    expect(await bundle.call(`/v1/resources/account/1?after=${never}`)).toMatchObject({ status: 504 });
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  it.each(['wait=99999', 'wait=99999999999999999999', 'respond-async, WAIT="31"'])(
    'is cut where it is preferred, and the answer says to what: %s',
    async (prefer) => {
      const answer = await bundle.post(deposit, { prefer });
      expect(answer).toMatchObject({ status: 202, body: { status: 'pending' } });
      expect(answer.headers.get('preference-applied')).toBe('wait=1');
    },
  );

  it('is preferred in vain for many commands, and no answer says that it was applied', async () => {
    const lines = await bundle.post(JSON.stringify(deposit), {
      'content-type': 'application/x-ndjson',
      prefer: 'wait=1',
    });
    const list = await bundle.post([deposit], { prefer: 'wait=1' });
    for (const answer of [lines, list]) {
      expect(answer.status).toBe(200);
      expect(answer.text).toContain('"status":"accepted"');
      expect(answer.headers.get('preference-applied')).toBe(null);
    }
  });

  it('is told by /openapi.json', async () => {
    const { text } = await bundle.call('/openapi.json');
    expect(text).toContain('more than 1 counts as 1');
    expect(text).toMatch(/wait=5: .*Preference-Applied.*many commands/);
  });
});

// Proves that bad input gets a clear problem with a code, stores nothing, and never ends the process.
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';
import { sendRaw } from '../../support/producers/raw-http.ts';

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle();
});
afterAll(() => bundle.close());
afterEach(async () => {
  expect((await bundle.call('/health/ready')).status).toBe(200);
  expect(bundle.lane.commands()).toEqual([]);
  expect(bundle.events.filter((event) => event.kind === 'request-failed')).toEqual([]);
});

const deposit = { type: 'account.deposit', subject: '1', data: { amount: 1 } };

describe('a command that cannot be taken', () => {
  it.each([
    ['{"type":', 'json-invalid', 400, undefined],
    ['', 'body-missing', 400, undefined],
    ['  \n ', 'body-missing', 400, undefined],
    ['null', 'command-malformed', 422, ''],
    ['7', 'command-malformed', 422, ''],
    ['{}', 'command-malformed', 422, '/type'],
    [{ ...deposit, type: 'deposit' }, 'type-unknown', 422, '/type'],
    [{ ...deposit, type: 'card.open' }, 'type-unknown', 422, '/type'],
    [{ ...deposit, type: 'onelane.replay' }, 'type-unknown', 422, '/type'],
    [{ ...deposit, type: '__proto__.x' }, 'type-unknown', 422, '/type'],
    [{ ...deposit, type: 'account.rename' }, 'command-name-unknown', 422, '/type'],
    [{ ...deposit, type: 'account.constructor' }, 'command-name-unknown', 422, '/type'],
    [{ ...deposit, subject: '' }, 'command-malformed', 422, '/subject'],
    [{ ...deposit, subject: 'x' }, 'subject-not-canonical', 422, '/subject'],
    [{ ...deposit, subject: '01' }, 'subject-not-canonical', 422, '/subject'],
    [{ ...deposit, subject: 1 }, 'command-malformed', 422, '/subject'],
    [{ ...deposit, data: { amount: -1 } }, 'payload-invalid', 422, '/data/amount'],
    [{ ...deposit, data: { amount: 1, 'a/b~c': 1 } }, 'payload-invalid', 422, '/data/a~1b~0c'],
    [{ ...deposit, data: { amount: 1, tags: ['ok', 'too long'] } }, 'payload-invalid', 422, '/data/tags/1'],
    [{ type: 'account.deposit', subject: '1' }, 'payload-invalid', 422, '/data'],
    [{ ...deposit, expectedRevision: 7 }, 'command-malformed', 422, '/expectedRevision'],
    [{ ...deposit, expectedrevision: -1 }, 'command-malformed', 422, '/expectedrevision'],
    [{ ...deposit, expectedrevision: 1.5 }, 'command-malformed', 422, '/expectedrevision'],
    [{ ...deposit, time: 'yesterday' }, 'command-malformed', 422, '/time'],
    [{ ...deposit, id: '' }, 'command-malformed', 422, '/id'],
    [{ ...deposit, specversion: '0.3', id: 'x', source: '/x' }, 'command-malformed', 422, '/specversion'],
    [
      { ...deposit, specversion: '1.0', id: 'x', source: '/x', data_base64: 'AA==' },
      'command-malformed',
      422,
      '/data_base64',
    ],
    ['{"type":"note.write","subject":"a\\u0000b","data":{"body":""}}', 'subject-invalid', 422, '/subject'],
    ['{"type":"note.write","subject":"\\ud800","data":{"body":""}}', 'command-malformed', 422, '/subject'],
    ['{"type":"note.write","subject":"x","data":{"body":"\\udc00"}}', 'command-malformed', 422, '/data/body'],
    ['{"type":"account.import","subject":"1","data":{"x":1e999}}', 'command-malformed', 422, '/data/x'],
    [
      '{"type":"account.import","subject":"1","data":{"__proto__":{"x":1}}}',
      'command-malformed',
      422,
      '/data/__proto__',
    ],
    [
      '{"type":"account.import","subject":"1","data":{},"__proto__":{"id":"x"}}',
      'command-malformed',
      422,
      '/__proto__',
    ],
    ['{"type":"account.import","subject":"1","\\u005f_proto__":{"data":{}}}', 'command-malformed', 422, '/__proto__'],
  ] as const)('%j: %s', async (body, code, status, pointer) => {
    const answer = await bundle.post(body);
    expect(answer).toMatchObject({ status, body: { status, code, type: `urn:onelane:problem:${code}` } });
    expect(answer.body['pointer']).toBe(pointer);
    expect(answer.body['detail']).toMatch(/\S/);
  });

  it.each([
    [{}, '/type: is missing: it must be a string.'],
    [{ type: 'account.deposit' }, '/subject: is missing: it must be a string.'],
    [{ type: 'account.deposit', subject: '1' }, '/data: is missing, or null: it must be an object.'],
    [{ ...deposit, data: {} }, '/data/amount: is missing: it must be a number.'],
    [{ ...deposit, specversion: '1.0' }, '/id: is missing: it must be a string.'],
    [{ ...deposit, subject: null }, '/subject: is null: it must be a string.'],
    [{ ...deposit, data: { amount: '1' } }, '/data/amount: is a string: it must be a number.'],
  ])('says what each field must be, also one that is not there: %j', async (command, sentence) => {
    const { status, body } = await bundle.post(command);
    expect(status).toBe(422);
    expect(String(body['detail']).startsWith(sentence)).toBe(true);
    expect(JSON.stringify(body)).not.toContain('undefined');
  });

  it('as one of many lines, is told what it lacks in the same words', async () => {
    const { text } = await bundle.post('{"type":"account.deposit"}', { 'content-type': 'application/x-ndjson' });
    expect(JSON.parse(text)).toMatchObject({
      pointer: '/subject',
      detail: '/subject: is missing: it must be a string',
    });
  });

  it('names the canonical form', async () => {
    expect((await bundle.post({ ...deposit, subject: '007' })).body['detail']).toContain('"7"');
  });

  it('is too deep, also when it is far too deep', async () => {
    const deep = (levels: number) =>
      `{"type":"account.import","subject":"1","data":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`;
    expect((await bundle.post(deep(70))).body['code']).toBe('command-malformed');
    const deepest = await bundle.post(
      `{"type":"account.import","subject":"1","data":${'['.repeat(120_000)}${']'.repeat(120_000)}}`,
    );
    expect(deepest).toMatchObject({ status: 422, body: { code: 'command-malformed' } });
  });

  it('is too large', async () => {
    const answer = await bundle.post({ type: 'account.import', subject: '1', data: { x: 'y'.repeat(256 * 1024) } });
    expect(answer).toMatchObject({ status: 413, body: { code: 'command-too-large' } });
  });

  it('is not UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"type":"note.write","subject":"x","data":{"body":"'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('"}}'),
    ]);
    const answer = await bundle.call('/v1/commands', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: bytes,
    });
    expect(answer).toMatchObject({ status: 400, body: { code: 'json-invalid' } });
  });
});

describe('a request that cannot be taken', () => {
  it.each([
    ['text/plain', {}],
    ['application/xml', {}],
    ['application/json', { 'content-encoding': 'gzip' }],
  ])('has the wrong content type: %s %j', async (type, headers) => {
    const answer = await bundle.post(deposit, { 'content-type': type, ...headers });
    expect(answer).toMatchObject({ status: 415, body: { code: 'content-type-unsupported' } });
  });

  it('has no content type', async () => {
    const answer = await sendRaw(bundle.url, 'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
    expect(answer.status).toBe(415);
  });

  it.each([
    ['PUT', '/v1/commands', 'POST'],
    ['GET', '/v1/commands', 'POST'],
    ['DELETE', '/v1/commands/x', 'GET, HEAD'],
    ['POST', '/v1/resources/account/1', 'GET, HEAD'],
    ['POST', '/metrics', 'GET, HEAD'],
    ['PROPFIND', '/v1/commands', 'POST'],
    ['OPTIONS', '/v1/commands/x', 'GET, HEAD'],
  ])('has the wrong method: %s %s', async (method, path, allow) => {
    const answer = await bundle.call(path, { method });
    expect(answer).toMatchObject({ status: 405, body: { code: 'method-not-allowed' } });
    expect(answer.headers.get('allow')).toBe(allow);
  });

  it.each(['/', '/v1', '/v1/commands/', '/v1/resources/account', '/V1/commands'])(
    'asks for nothing that there is: %s',
    async (path) => {
      const { status, body } = await bundle.call(path);
      expect([status, body['code']]).toEqual(
        path === '/v1/commands/' ? [400, 'query-invalid'] : [404, 'route-unknown'],
      );
    },
  );

  it('has a URL that cannot be read', async () => {
    expect(await bundle.call('/v1/commands/%E0%A4')).toMatchObject({ status: 400, body: { code: 'url-invalid' } });
  });

  it.each([
    ['GARBAGE\r\n\r\n', 400, 'request-malformed'],
    [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['GET / HTTP/1.1\r\n\r\n', 400, 'request-malformed'],
    ['GET /health/live HTTP/1.1\r\n\r\n', 400, 'request-malformed'],
    ['CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed'],
    [`GET /${'y'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'headers-too-large'],
    ['GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'url-invalid'],
    [`GET /v1/commands/${'y'.repeat(5_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414, 'url-too-long'],
    ['POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\n{}', 404, 'route-unknown'],
    ['QUERY /v1/commands/x HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed'],
    ['TRACE /v1/commands HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed'],
    ['QUERY /nowhere HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'route-unknown'],
    [
      'POST /v1/commands HTTP/1.1\r\nHost: x\r\nExpect: gold\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
      417,
      'expectation-failed',
    ],
    ['POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n', 400, 'request-malformed'],
    [
      'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'request-malformed',
    ],
    [
      'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      400,
      'request-malformed',
    ],
  ])('that no handler sees is answered by a problem document, too: %j', async (bytes, status, code) => {
    const answer = await sendRaw(bundle.url, bytes);
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(/^content-type: application\/problem\+json/im);
    expect(answer.text).toContain(`"status":${status}`);
    expect(answer.text).toContain(`"code":"${code}"`);
  });

  it('may have no Host in HTTP/1.0', async () => {
    expect((await sendRaw(bundle.url, 'GET /health/live HTTP/1.0\r\n\r\n')).status).toBe(200);
  });

  it('that is not HTTP is answered behind one that was, on the same connection', async () => {
    const { hostname, port } = new URL(bundle.url);
    const socket = connect(Number(port), hostname);
    const answers = socket.setEncoding('latin1')[Symbol.asyncIterator]();
    socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await answers.next()).value).toMatch(/^HTTP\/1\.1 200/);
    socket.write('GARBAGE\r\n\r\n');
    expect((await answers.next()).value).toMatch(/^HTTP\/1\.1 400[^]*"code":"request-malformed"/);
    socket.destroy();
  });

  it('that is not HTTP is no answer to the one before it, which came whole and is still being answered', async () => {
    const body = JSON.stringify({ type: 'nothing.known', subject: '1' });
    const head = `POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    expect((await sendRaw(bundle.url, `${head}${body}GARBAGE\r\n\r\n`)).text).not.toContain('request-malformed');
  });

  it('ends before its body is whole', async () => {
    const head =
      'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n';
    expect((await sendRaw(bundle.url, `${head}{"type"`)).status).toBe(0);
  });

  it('is pipelined behind one that is refused, and is answered too', async () => {
    const bad = 'POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{';
    const answer = await sendRaw(bundle.url, `${bad}GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(answer.text.match(/HTTP\/1\.1 [0-9]+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200']);
  });
});

// Proves by drawn requests that the server always answers, never with a fault of its own, and stores only what it accepted.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROBLEMS } from '../../../producers/http/problem.ts';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';
import { sendRaw } from '../../support/producers/raw-http.ts';

let bundle: HttpBundle;
beforeAll(async () => {
  bundle = await httpBundle();
});
afterAll(() => bundle.close());

const name = fc.constantFrom(
  'type',
  'subject',
  'data',
  'id',
  'source',
  'time',
  'specversion',
  'expectedrevision',
  'traceparent',
  '__proto__',
  'constructor',
  'x',
);
const value = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    'account.deposit',
    'note.write',
    'account.',
    '.',
    'onelane.replay',
    '1',
    '01',
    '1.0',
    '2026-02-03T04:05:06Z',
    { amount: 1 },
    { body: 'x' },
    -1,
    7,
    2 ** 53,
  ),
);
const document = fc.dictionary(name, value);
const body = fc.oneof(
  document.map((each) => JSON.stringify(each)),
  fc.array(document).map((each) => JSON.stringify(each)),
  fc.json(),
  fc.string(),
  fc.string({ unit: 'binary' }),
);
const type = fc.constantFrom(
  'application/json',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/x-ndjson',
  'text/plain',
  'application/json; charset=latin1',
);
const header = fc.record(
  {
    'idempotency-key': fc.string({ unit: 'grapheme-ascii' }),
    'if-match': fc.oneof(fc.constantFrom('"1"', '*', 'W/"1"'), fc.string({ unit: 'grapheme-ascii' })),
    'if-none-match': fc.constantFrom('*', '"1"', ''),
    prefer: fc.constantFrom('wait=0', 'wait', 'wait=x', 'wait=', '=;,'),
    traceparent: fc.string({ unit: 'grapheme-ascii' }),
  },
  { requiredKeys: [] },
);

const ANSWERS = new Set([200, 202, ...Object.values(PROBLEMS).map((kind) => kind.status)]);

describe('whatever is sent', () => {
  it('to POST /v1/commands gets an answer of this API, and what is stored is what was accepted', async () => {
    await fc.assert(
      fc.asyncProperty(body, type, header, async (text, contentType, headers) => {
        const before = bundle.lane.commands().length;
        const answer = await bundle.call('/v1/commands', {
          method: 'POST',
          headers: { ...headers, 'content-type': contentType },
          body: text,
        });
        expect(ANSWERS).toContain(answer.status);
        expect(answer.status).not.toBe(500);
        if (answer.status >= 400) expect(Object.keys(PROBLEMS)).toContain(answer.body['code']);
        const accepted = answer.text.match(/"status":"accepted"/g)?.length ?? 0;
        expect(bundle.lane.commands().length - before).toBe(accepted);
      }),
      { numRuns: 400 },
    );
  });

  it('as a path gets an answer of this API', async () => {
    const segment = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())),
      fc.constantFrom('%', '%ff', '..', '%2e%2e', 'account', '1', ''),
    );
    const path = fc.tuple(
      fc.constantFrom('/v1/commands/', '/v1/resources/', '/v1/', '/'),
      segment,
      segment,
      fc.constantFrom('', '?after=x&wait=0', '?wait=-9e9', '?wait[]=1', '?__proto__[x]=1', '?resource=%00'),
    );
    await fc.assert(
      fc.asyncProperty(path, async ([root, first, second, query]) => {
        const answer = await sendRaw(
          bundle.url,
          `GET ${root}${first}/${second}${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
          3_000,
        );
        expect(ANSWERS).toContain(answer.status);
        expect([500, 503]).not.toContain(answer.status);
      }),
      { numRuns: 300 },
    );
  });

  it('as bytes leaves the server well', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'POST /v1/commands HTTP/1.1\r\n',
        'GET /metrics HTTP/1.1\r\n',
        'Host: x\r\n',
        '\r\n',
        'Content-Length: 5\r\n',
        'Transfer-Encoding: chunked\r\n',
        'Content-Type: application/x-ndjson\r\n',
        'Expect: 100-continue\r\n',
        'Upgrade: websocket\r\nConnection: upgrade\r\n',
        '5\r\nhello\r\n',
        '0\r\n\r\n',
        '{"type":1}\n',
      ),
      fc.string({ unit: 'binary-ascii', maxLength: 30 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 10 }), async (pieces) => {
        await sendRaw(bundle.url, pieces.join(''), 15);
      }),
      { numRuns: 200 },
    );
    expect((await bundle.call('/health/ready')).status).toBe(200);
    expect(bundle.events.filter((event) => event.kind === 'request-failed')).toEqual([]);
  });
});

// Proves the submission of many commands in one request: results in order, bad lines alone, bounds, order after a gap.
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { httpBundle, type HttpBundle } from '../../support/producers/http-bundle.ts';

let bundle: HttpBundle;
beforeEach(async () => {
  bundle = await httpBundle({
    http: { commands: 1_000, bodyBytes: 20_000_000 },
    submit: { graceMs: 100, flightMs: 5_000, inFlightBytes: 600_000 },
  });
});
afterEach(() => bundle.close());

const line = (subject: string | number, amount: unknown = 1) =>
  JSON.stringify({ type: 'account.deposit', subject: String(subject), data: { amount } });
const NDJSON = { 'content-type': 'application/x-ndjson' };

type Result = Readonly<Record<string, unknown>>;
// What the server printed; a test that looks for what is not there fails.
const resultsOf = (text: string): readonly Result[] =>
  text
    .trimEnd()
    .split('\n')
    .map((each) => JSON.parse(each) as Result);
const statuses = (results: readonly Result[]) => results.map((each) => each['status']);

describe('many commands', () => {
  it('as lines get one result per line, in order', async () => {
    const { status, text, headers } = await bundle.post(`${line(1)}\n${line(2)}\r\n\n${line(1)}`, NDJSON);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/x-ndjson/);
    expect(resultsOf(text).map((each) => [each['line'], each['status']])).toEqual([
      [1, 'accepted'],
      [2, 'accepted'],
      [4, 'accepted'],
    ]);
    const logged = bundle.lane.commands().map((command) => command.id);
    expect(logged.sort()).toEqual(
      resultsOf(text)
        .map((each) => each['id'])
        .sort(),
    );
  });

  it('as an array, or a batch of events, get an array', async () => {
    const { text, status } = await bundle.post(`[${line(1)},${line(2)}]`);
    expect(status).toBe(200);
    expect(statuses(JSON.parse(text) as Result[])).toEqual(['accepted', 'accepted']);
    const event = { specversion: '1.0', id: 'a', source: '/s', type: 'account.open', subject: '1', data: {} };
    const batch = await bundle.post([event, { ...event, id: 'b' }, { type: 'account.open' }], {
      'content-type': 'application/cloudevents-batch+json',
    });
    expect(statuses(JSON.parse(batch.text) as Result[])).toEqual(['accepted', 'accepted', 'invalid']);
  });

  it('keep their order within a resource', async () => {
    const body = Array.from({ length: 900 }, (_, at) => line(at % 7, at + 1)).join('\n');
    const { text } = await bundle.post(body, NDJSON);
    expect(new Set(statuses(resultsOf(text)))).toEqual(new Set(['accepted']));
    for (let subject = 0; subject < 7; subject++) {
      const amounts = bundle.lane
        .commands()
        .filter((command) => command.subject === String(subject))
        .map((command) => JSON.stringify(command.data));
      expect(amounts).toEqual(
        Array.from({ length: 900 }, (_, at) => at)
          .filter((at) => at % 7 === subject)
          .map((at) => `{"amount":${at + 1}}`),
      );
    }
  });

  it('are not stopped by a bad line', async () => {
    const body = [line(1), '{"type":', line('02'), 'null', line(3, 'x'), '"\\ud800"', line(1)].join('\n');
    const results = resultsOf((await bundle.post(body, NDJSON)).text);
    expect(results.map((each) => each['code'] ?? each['status'])).toEqual([
      'accepted',
      'json-invalid',
      'subject-not-canonical',
      'command-malformed',
      'payload-invalid',
      'command-malformed',
      'accepted',
    ]);
    expect(results[4]).toMatchObject({ pointer: '/data/amount' });
    expect(results[1]?.['detail']).toMatch(/^Line 2: /);
  });

  it('may be none', async () => {
    expect(await bundle.post('\n\n', NDJSON)).toMatchObject({ status: 200, text: '' });
    expect(await bundle.post('[]')).toMatchObject({ status: 200, text: '[]' });
  });

  it.each([{ 'idempotency-key': 'k' }, { 'if-match': '"1"' }, { 'if-none-match': '*' }])(
    'take no header of a single one: %j',
    async (headers) => {
      const answer = await bundle.post(`[${line(1)}]`, headers);
      expect(answer).toMatchObject({ status: 400, body: { code: 'header-not-for-many' } });
      expect(bundle.lane.commands()).toEqual([]);
    },
  );
});

describe('an array that is too large to be parsed at once', () => {
  const padding = ' '.repeat(400_000);

  it('gets the results that a small one gets', async () => {
    const items = [
      line(1),
      '7',
      line('02'),
      line(3, 'x'),
      `{"type":"account.import","subject":"ü","data":{}}`,
      line(1),
    ];
    const small = await bundle.post(`[${items.join(',')}]`);
    const large = await bundle.post(`\ufeff ${padding}[${items.join(',\n')}]${padding}`);
    const told = ({ status, text }: typeof small) => [
      status,
      (JSON.parse(text) as Result[]).map((each) => [each['line'], each['status'], each['code'], each['pointer']]),
    ];
    expect(told(large)).toEqual(told(small));
    expect(bundle.lane.commands()).toHaveLength(4);
  });

  it.each([
    ['that breaks', `[${line(1)},${line(2)}${padding}`, 'json-invalid', 400],
    ['with a stray mark', `[${line(1)},${padding},${line(2)}]`, 'json-invalid', 400],
    ['with another thing behind it', `[${line(1)}]${padding}7`, 'json-invalid', 400],
    ['of more commands than may be', `[${padding}${Array(1_001).fill(line(1)).join(',')}]`, 'too-many-commands', 413],
    ['that is none', padding, 'body-missing', 400],
  ])('%s stores nothing', async (_, body, code, status) => {
    expect(await bundle.post(body)).toMatchObject({ status, body: { code } });
    expect(bundle.lane.commands()).toEqual([]);
  });

  it('that is not UTF-8 stores nothing', async () => {
    const body = Buffer.concat([Buffer.from(`[${line(1)},${padding}"`), Buffer.from([0xc3, 0x28]), Buffer.from('"]')]);
    const headers = { 'content-type': 'application/json' };
    const answer = await bundle.call('/v1/commands', { method: 'POST', headers, body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'json-invalid' } });
    expect(bundle.lane.commands()).toEqual([]);
  });
});

describe('a gap', () => {
  it('stops the later lines of that resource, until the end of the body', async () => {
    bundle.fault = 'refused';
    const before = bundle.post([line(1), line(2), line(1)].join('\n'), NDJSON);
    const results = resultsOf((await before).text);
    expect(statuses(results)).toEqual(['not-accepted', 'not-accepted', 'not-attempted']);
    expect(results.map((each) => each['code'])).toEqual(['not-accepted', 'not-accepted', 'not-attempted']);
    expect(bundle.lane.commands()).toEqual([]);
  });

  it('that nobody can see through is told with the id to repeat with', async () => {
    bundle.fault = 'unknown-stored';
    const results = resultsOf((await bundle.post([line(1), line(1)].join('\n'), NDJSON)).text);
    expect(results[0]).toMatchObject({
      status: 'outcome-unknown',
      code: 'outcome-unknown',
      id: expect.any(String),
    });
    bundle.fault = 'none';
    await expect.poll(async () => (await bundle.post(JSON.parse(line(1)))).status, { timeout: 5_000 }).toBe(202);
    expect(bundle.lane.commands().map((command) => command.id)).toContain(results[0]?.['id']);
  });
});

describe('the bounds', () => {
  it('too many commands: 413, with the results of those that were read', async () => {
    const answer = await bundle.post(Array.from({ length: 1_001 }, (_, at) => line(at)).join('\n'), NDJSON);
    expect(answer).toMatchObject({ status: 413, body: { code: 'too-many-commands' } });
    expect(answer.body['detail']).toMatch(/^The body has more than 1000 commands; .*results.*\(1000\)\./);
    expect(answer.body['results']).toHaveLength(1_000);
    expect(bundle.lane.commands()).toHaveLength(1_000);
  });

  it('an array with too many stores none', async () => {
    const answer = await bundle.post(`[${Array.from({ length: 1_001 }, (_, at) => line(at)).join(',')}]`);
    expect(answer).toMatchObject({ status: 413, body: { code: 'too-many-commands' } });
    expect(answer.body['detail']).toMatch(
      /^The array has 1001 commands; at most 1000 are taken, and nothing was stored\./,
    );
    expect(bundle.lane.commands()).toHaveLength(0);
  });

  it('a body too large: 413', async () => {
    const answer = await bundle.post(`${line(1)}\n${' '.repeat(20_100_000)}`, NDJSON);
    const list = await bundle.post(`[${' '.repeat(20_100_000)}]`);
    for (const { status, body } of [answer, list]) {
      expect([status, body['code']]).toEqual([413, 'body-too-large']);
      expect(body['detail']).toMatch(/^The body has more than 20000000 bytes/);
    }
  });

  it('a line too large is alone', async () => {
    const huge = JSON.stringify({ type: 'account.import', subject: '1', data: { x: 'y'.repeat(300_000) } });
    const results = resultsOf((await bundle.post([line(1), huge, line(1)].join('\n'), NDJSON)).text);
    expect(results.map((each) => each['code'] ?? each['status'])).toEqual([
      'accepted',
      'command-too-large',
      'accepted',
    ]);
    expect(results[1]?.['detail']).toContain('at most 262144 bytes (256KiB)');
  });

  it('a single event too large is no body of many: the limit of one command is told', async () => {
    const headers = { 'content-type': 'application/cloudevents+json' };
    const answer = await bundle.post(`{${' '.repeat(2 * 1024 * 1024)}`, headers);
    expect(answer).toMatchObject({ status: 413, body: { code: 'command-too-large' } });
    expect(answer.body['detail']).toContain('2097152 bytes (2MiB)');
  });
});

describe('lines as a stream', () => {
  it('are published while the body is still being sent, and cut anywhere', async () => {
    const answer = new Promise<string>((resolve, reject) => {
      const post = request(`${bundle.url}/v1/commands`, { method: 'POST', headers: NDJSON }, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('end', () => resolve(text));
      }).on('error', reject);
      const first = Buffer.from(`${line(1)}\n{"type":"account.import","subject":"2","data":{"x":"ü"}}\n`);
      const cut = first.indexOf(0xc3) + 1;
      post.write(first.subarray(0, cut));
      void expect
        .poll(() => bundle.lane.commands().length)
        .toBe(1)
        .then(() => {
          post.write(first.subarray(cut));
          post.end(line(3));
        });
    });
    expect(statuses(resultsOf(await answer))).toEqual(['accepted', 'accepted', 'accepted']);
    expect(bundle.lane.commands().map((command) => command.data)).toContainEqual({ x: 'ü' });
  });

  it('are slowed by their socket while nothing can be published, and not refused', async () => {
    let open: () => void = () => undefined;
    bundle.gate = new Promise((resolve) => (open = resolve));
    const answered = new Promise<string>((resolve) => {
      const post = request(`${bundle.url}/v1/commands`, { method: 'POST', headers: NDJSON }, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('end', () => resolve(text));
      });
      const padded = JSON.stringify({ type: 'account.import', subject: '1', data: { x: 'y'.repeat(100_000) } });
      let sent = 0;
      const send = () => {
        while (sent < 100) {
          sent += 1;
          if (!post.write(`${padded}\n`)) {
            post.once('drain', send);
            return;
          }
        }
        post.end();
      };
      send();
      // Far more than fits into sockets and bounds: the sender has to stop before its end.
      void expect
        .poll(() => bundle.server.held()?.bytes ?? 0)
        .toBeGreaterThan(300_000)
        .then(() => {
          expect(sent).toBeLessThan(100);
          expect(bundle.server.held()?.bytes).toBeLessThan(700_000);
          bundle.gate = null;
          open();
        });
    });
    expect(new Set(statuses(resultsOf(await answered)))).toEqual(new Set(['accepted']));
    expect(bundle.lane.commands()).toHaveLength(100);
  });

  it('of a caller who goes away leave what was accepted, and the server', async () => {
    await new Promise<void>((resolve) => {
      const post = request(`${bundle.url}/v1/commands`, { method: 'POST', headers: NDJSON }).on('error', () =>
        resolve(),
      );
      post.write(`${line(1)}\n${line(2)}\n{"ty`);
      void expect
        .poll(() => bundle.lane.commands().length)
        .toBe(2)
        .then(() => post.destroy(new Error('gone')));
    });
    await expect
      .poll(() => bundle.events.find((event) => event.kind === 'upload-aborted'))
      .toMatchObject({ commands: 2 });
    expect(bundle.events.filter((event) => event.kind === 'request-failed')).toEqual([]);
    expect((await bundle.call('/health/ready')).status).toBe(200);
    expect(bundle.lane.commands()).toHaveLength(2);
  });
});

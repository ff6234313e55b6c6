// Quick reading: it agrees with reading as JSON wherever it says anything, and says nothing of what is odd.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentHash } from '../../../shared/command/content.ts';
import type { Command } from '../../../shared/command/entry.ts';
import { commandIdOf, position, resourceKey, revision, trustedTypeName } from '../../../shared/command/identity.ts';
import { JSON_DEPTH_MAX } from '../../../shared/command/json-fault.ts';
import { readPrinted } from '../../../shared/command/printed-command.ts';
import { decodeDelivery, encodeCommand } from '../../../shared/command/wire.ts';

const SEED = 17;
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const ID = '01a21e89-fee8-7205-ab4e-9d0dd0f2b7e9';

function command(over: Partial<Pick<Command, 'subject' | 'data' | 'expectedRevision' | 'source'>> = {}): Command {
  const { subject = '42', data = { amount: 5 }, expectedRevision = null, source = '/checkout' } = over;
  const type = trustedTypeName('account');
  const content = contentHash({ type: 'account.deposit', subject, data, expectedRevision });
  const id = commandIdOf(ID, source);
  const key = resourceKey(type, subject);
  const timeMs = Date.parse('2026-11-22T09:59:59.123Z');
  return { kind: 'command', id, source, type, subject, key, name: 'deposit', data, expectedRevision, timeMs, content };
}

const printed = (of: Command, trace?: string) => Buffer.from(encodeCommand(of, trace)).toString();

/** What stands behind the brace has to be read as JSON; it changes nothing. */
const readAsJson = (json: string) =>
  decodeDelivery({ position: position(0), bytes: Buffer.from(`${json} `), headers: {}, appendedAt: new Date(0) });

describe('what we print ourselves', () => {
  it.each([
    ['a plain command', command(), undefined],
    ['an expected revision', command({ expectedRevision: revision(0) }), undefined],
    ['a trace', command(), TRACE],
    ['both', command({ expectedRevision: revision(10 ** 14) }), TRACE],
    ['text of all planes', command({ subject: 'é😀', data: { é: ['😀', '\0\ud83d\ude00"\\'] } }), undefined],
    ['names that stand in another order', command({ data: { b: 1, a: { 10: 1, 9: 2 } } }), undefined],
    ['no payload', command({ data: null }), undefined],
  ])('is read at once: %s', (_, sent, trace) => {
    expect(readPrinted(printed(sent, trace))).toEqual(sent);
    expect(readAsJson(printed(sent, trace))).toEqual(sent);
  });
});

describe('a time', () => {
  it.each([
    '2026-11-22T23:59:59.999Z',
    '2026-11-23T00:00:00.000Z',
    '2024-02-29T12:34:56.789Z',
    '2026-11-22T00:00:00.001Z',
    '1970-01-01T00:00:00.000Z',
    '0099-12-31T23:59:59.000Z',
    '9999-12-31T23:59:59.999Z',
  ])('is what its digits say, whatever the day before it was: %s', (time) => {
    const json = printed(command()).replace('2026-11-22T09:59:59.123Z', time);
    expect(readPrinted(json)?.timeMs).toBe(Date.parse(time));
  });
});

describe('what is odd', () => {
  const plain = printed(command());
  const odd = (from: string | RegExp, to: string) => plain.replace(from, () => to);
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

  it.each([
    ['white space behind it', `${plain} `],
    ['white space within', odd(':"1.0",', ':"1.0", ')],
    ['another version', odd('"1.0"', '"1.1"')],
    ['an id that is no UUID', odd(ID, 'order-7')],
    ['an id in capitals', odd(ID, ID.toUpperCase())],
    ['a source that is too long', odd('/checkout', 'x'.repeat(1_025))],
    ['no source', odd('/checkout', '')],
    ['a type without a command', odd('account.deposit', 'account')],
    ['a type that is too long', odd('account.deposit', `account.${'x'.repeat(121)}`)],
    ['a type of our own', odd('account.deposit', 'onelane.note')],
    ['a subject with an escape', odd('"42"', '"4\\u0032"')],
    ['a subject with a control character', odd('"42"', '"4\n2"')],
    ['a subject that may be too long', odd('"42"', `"${'x'.repeat(171)}"`)],
    ['an hour that does not exist', odd('T09', 'T24')],
    ['a day that does not exist', odd('2026-11-22', '2026-02-29')],
    ['a time with an offset', odd('.123Z', '.123+00:00')],
    ['another media type', odd('application/json', 'application/problem+json')],
    ['a revision with a leading zero', odd('"data"', '"expectedrevision":07,"data"')],
    ['a trace that is too long', odd('"data"', `"traceparent":"${'x'.repeat(65)}","data"`)],
    ['something behind the payload', odd(/\}$/, ',"subject":"43"}')],
    ['a payload that is cut in half', odd(/5\}\}$/, '}')],
    ['a name that cannot be used', odd('"amount"', '"__proto__"')],
    ['a number that is too large', odd(':5}', ':1e999}')],
    ['half of a surrogate pair', odd(':5}', ':"\\ud83d"}')],
    ['a payload that is too deep', odd('{"amount":5}', nested(JSON_DEPTH_MAX))],
  ])('is left to the reader of JSON: %s', (_, json) => {
    expect(json).not.toBe(plain);
    expect(readPrinted(json)).toBe(null);
  });

  it('goes as deep as a payload may', () => {
    expect(readPrinted(odd('{"amount":5}', nested(JSON_DEPTH_MAX - 1)))).not.toBe(null);
  });
});

describe('text that a transport has read', () => {
  it('is taken for its bytes', () => {
    for (const text of [printed(command()), 'no command', 'x'.repeat(300_000)]) {
      const delivery = { position: position(0), bytes: Buffer.from(text), headers: {}, appendedAt: new Date(0) };
      expect(decodeDelivery({ ...delivery, text })).toEqual(decodeDelivery(delivery));
    }
  });
});

describe('any text', () => {
  const parts = [
    '"',
    '\\',
    '}',
    '{',
    ',',
    ':',
    '0',
    ' ',
    '\u00e9',
    '"data":',
    '"subject":"1",',
    ',"a":1',
    'null',
    '.',
    '\\u0031',
  ];
  const data = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as Command['data']);
  const sent = fc.record({ data, subject: fc.string({ minLength: 1, maxLength: 20 }) }).map((over) => command(over));
  const change = fc.record({ at: fc.nat(400), cut: fc.nat(3), put: fc.constantFrom('', ...parts) });

  it('is read as JSON says, or not at all', () => {
    let read = 0;
    const check = fc.property(sent, fc.array(change, { maxLength: 2 }), (of, changes) => {
      let json = printed(of);
      for (const { at, cut, put } of changes) {
        const from = at % json.length;
        json = json.slice(0, from) + put + json.slice(from + cut);
      }
      const quick = readPrinted(json);
      if (quick === null) return;
      read++;
      expect(readAsJson(json)).toEqual(quick);
    });
    fc.assert(check, { numRuns: 10_000, seed: SEED });
    expect(read).toBeGreaterThan(3_000);
  });
});

// The wire: what is encoded is read again, what cannot be read is a stray with a reason, and nothing makes the reader throw.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contentHash } from '../../../shared/command/content.ts';
import { envelopeSchema, isPlainEnvelope } from '../../../shared/command/envelope.ts';
import type { Command, Delivery, Stray } from '../../../shared/command/entry.ts';
import {
  commandIdOf,
  position,
  resourceKey,
  revision,
  trustedTypeName,
  type Json,
} from '../../../shared/command/identity.ts';
import { JSON_DEPTH_MAX } from '../../../shared/command/json-fault.ts';
import { splitType } from '../../../shared/command/type-names.ts';
import { COMMAND_BYTES_MAX, decodeDelivery, encodeCommand } from '../../../shared/command/wire.ts';

const APPENDED_AT = new Date('2026-11-22T10:00:00.000Z');
const SEED = 11;

/** A JSON value that the wire takes: no name `__proto__`, no lone surrogate, no `-0` (JSON cannot say it). */
const jsonValue: fc.Arbitrary<Json> = fc
  .jsonValue({ maxDepth: 5, stringUnit: 'binary' })
  // What JSON.parse gives back is Json by definition.
  .map((value) => JSON.parse(JSON.stringify(value)) as Json)
  .filter((value) => !JSON.stringify(value).includes('"__proto__"'));

function bundle() {
  const deliver = (bytes: Uint8Array): Delivery => ({
    position: position(1),
    bytes,
    headers: {},
    appendedAt: APPENDED_AT,
  });
  const envelope = (over: Readonly<Record<string, unknown>> = {}) => ({
    specversion: '1.0',
    id: '1',
    source: '/checkout',
    type: 'account.deposit',
    subject: '42',
    data: { amount: 500 },
    ...over,
  });
  const readText = (text: string) => decodeDelivery(deliver(Buffer.from(text)));
  const read = (over: Readonly<Record<string, unknown>> = {}) => readText(JSON.stringify(envelope(over)));
  return { deliver, envelope, read, readText };
}

function command(over: Partial<Command> = {}): Command {
  const subject = over.subject ?? '42';
  const data = over.data ?? null;
  const expectedRevision = over.expectedRevision ?? null;
  const type = trustedTypeName('account');
  return {
    kind: 'command',
    id: commandIdOf('1', '/checkout'),
    source: '/checkout',
    type,
    subject,
    key: resourceKey(type, subject),
    name: 'deposit',
    data,
    expectedRevision,
    timeMs: Date.parse('2026-11-22T09:59:59.123Z'),
    content: contentHash({ type: 'account.deposit', subject, data, expectedRevision }),
    ...over,
  };
}

function expectStray(read: Command | Stray, detail: RegExp): void {
  expect(read).toMatchObject({ kind: 'stray', detail: expect.stringMatching(detail) });
}

describe('a command', () => {
  it('is read as it was encoded, whatever its payload and subject', () => {
    const { deliver } = bundle();
    const subjects = fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }).filter((text) => !text.includes('\0'));
    const revisions = fc.option(fc.nat().map(revision));
    const check = fc.property(jsonValue, subjects, revisions, (data, subject, expectedRevision) => {
      const sent = command({ data, subject, expectedRevision });
      expect(decodeDelivery(deliver(encodeCommand(sent)))).toEqual(sent);
    });
    fc.assert(check, { numRuns: 2_000, seed: SEED });
  });

  it('carries a trace that changes nothing about it', () => {
    const { deliver } = bundle();
    const traced = encodeCommand(command(), '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
    expect(decodeDelivery(deliver(traced))).toEqual(command());
  });

  it('may hold a NUL and text of all planes in its payload', () => {
    expect(bundle().read({ data: { 'a\0': '\0😀' } })).toMatchObject({ kind: 'command', data: { 'a\0': '\0😀' } });
  });

  it('without data has null, without time has the time at which it was appended', () => {
    expect(bundle().read({ data: undefined })).toMatchObject({
      kind: 'command',
      data: null,
      timeMs: APPENDED_AT.getTime(),
    });
  });

  it('keeps everything after the first dot as its name', () => {
    expect(bundle().read({ type: 'account.card.close' })).toMatchObject({ type: 'account', name: 'card.close' });
  });

  it('may begin with a byte order mark and carry extensions that we do not know', () => {
    const { envelope, readText } = bundle();
    expect(readText(`\ufeff${JSON.stringify(envelope({ region: 'eu' }))}`).kind).toBe('command');
  });

  it('of exactly the greatest size is read, of one byte more is not', () => {
    const { envelope, readText } = bundle();
    const rest = JSON.stringify(envelope({ data: '' })).length;
    const sized = (bytes: number) => readText(JSON.stringify(envelope({ data: 'x'.repeat(bytes - rest) })));
    expect(sized(COMMAND_BYTES_MAX).kind).toBe('command');
    expectStray(sized(COMMAND_BYTES_MAX + 1), /262145 bytes.*at most 262144/);
  });
});

describe('an envelope that is plain', () => {
  it('is one that the schema accepts as it stands, whatever its attributes', () => {
    const { envelope } = bundle();
    const attributes = ['specversion', 'id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'data'];
    const names = fc.constantFrom(...attributes, 'data_base64', 'expectedrevision', 'traceparent', 'region');
    const instants = fc.constantFrom('2026-02-29T00:00:00Z', '2024-02-29T10:00:00.5+01:00', '2026-01-01T00:00:00.000Z');
    const texts = fc.oneof(
      fc.string({ maxLength: 70 }),
      fc.nat(1_100).map((length) => 'x'.repeat(length)),
      instants,
    );
    const values = fc.oneof(
      texts,
      fc.constantFrom('1.0', 'application/json', null),
      fc.double(),
      fc.integer(),
      jsonValue,
    );
    let plain = 0;
    const check = fc.property(fc.dictionary(names, values, { maxKeys: 3 }), (over) => {
      const raw: unknown = JSON.parse(JSON.stringify(envelope(over)));
      if (!isPlainEnvelope(raw)) return;
      plain++;
      expect(envelopeSchema.safeParse(raw)).toEqual({ success: true, data: raw });
    });
    fc.assert(check, { numRuns: 5_000, seed: SEED });
    expect(plain).toBeGreaterThan(500);
  });

  it('is what we encode ourselves', () => {
    const sent = command({ expectedRevision: revision(3), data: { amount: 5 } });
    expect(isPlainEnvelope(JSON.parse(Buffer.from(encodeCommand(sent)).toString()))).toBe(true);
  });
});

describe('what cannot be read', () => {
  it.each([
    ['no JSON', 'hello', /not a JSON document/],
    ['nothing', '', /not a JSON document/],
    ['no object', '[1]', /not a CloudEvents 1.0 command/],
    ['null', 'null', /not a CloudEvents 1.0 command/],
    ['JSON cut in half', '{"specversion":"1.0","id":', /not a JSON document/],
  ])('is a stray: %s', (_, text, detail) => {
    expectStray(bundle().readText(text), detail);
  });

  it('is a stray: bytes that are no UTF-8', () => {
    const { deliver, envelope } = bundle();
    const bytes = Buffer.from(JSON.stringify(envelope({ data: 'x' })), 'latin1');
    bytes[bytes.length - 3] = 0xff;
    expectStray(decodeDelivery(deliver(bytes)), /not a JSON document in UTF-8/);
  });

  it.each([
    ['another version', { specversion: '0.3' }, /specversion/],
    ['no id', { id: undefined }, /\/id/],
    ['an id that is a number', { id: 7 }, /\/id/],
    ['an id too long', { id: 'x'.repeat(257) }, /\/id/],
    ['no source', { source: '' }, /\/source/],
    ['a type without a dot', { type: 'deposit' }, /<resource type>.<command name>/],
    ['a type that ends with its dot', { type: 'account.' }, /<resource type>.<command name>/],
    ['no subject', { subject: undefined }, /\/subject/],
    ['a subject with NUL', { subject: 'a\0' }, /NUL/],
    ['a subject of a lone surrogate', { subject: '\ud800' }, /\/subject has a lone surrogate/],
    ['a payload with a lone surrogate', { data: ['\udfff'] }, /\/data\/0 has a lone surrogate/],
    ['a time that is none', { time: '2026-02-30T10:00:00Z' }, /\/time/],
    ['a revision below 0', { expectedrevision: -1 }, /\/expectedrevision/],
    ['a revision that is no whole number', { expectedrevision: 1.5 }, /\/expectedrevision/],
    ['a revision beyond the safe integers', { expectedrevision: 2 ** 53 }, /\/expectedrevision/],
    ['a payload that is no JSON', { datacontenttype: 'text/plain' }, /\/datacontenttype/],
    ['a payload in base64', { data: undefined, data_base64: 'AAAA' }, /never data_base64/],
  ])('is a stray that names what is wrong: %s', (_, over, detail) => {
    expectStray(bundle().read(over), detail);
  });

  it('is a stray: a number that JSON cannot print again', () => {
    const { envelope, readText } = bundle();
    expectStray(
      readText(JSON.stringify(envelope({ data: 'X' })).replace('"X"', '{"a":1e400}')),
      /\/data\/a .*too large/,
    );
  });

  it('is a stray: a name that would reach the prototype', () => {
    const { envelope, readText } = bundle();
    const text = JSON.stringify(envelope({ data: 'X' }));
    expectStray(readText(text.replace('"X"', '{"__proto__":{"admin":true}}')), /\/data\/__proto__/);
    expectStray(readText(text.replace('"data":"X"', '"__proto__":{"data":{"amount":1}}')), /\/__proto__/);
  });

  it('says for an operator entry of an unknown kind that it is one', () => {
    expect(bundle().read({ type: 'onelane.frobnicate' })).toMatchObject({ reason: 'operator-entry-unknown' });
  });

  it('is bounded in depth, by the same number however deep the caller stands in its stack', () => {
    const { envelope, readText } = bundle();
    const nested = (depth: number) =>
      readText(JSON.stringify(envelope({ data: 'X' })).replace('"X"', '['.repeat(depth) + ']'.repeat(depth)));
    expect(nested(JSON_DEPTH_MAX - 1).kind).toBe('command');
    expectStray(nested(JSON_DEPTH_MAX), /nested deeper/);
    expectStray(nested(130_000), /nested deeper/);
  });

  it('gives a reason that can be stored: no NUL, no lone surrogate, bounded', () => {
    const read = bundle().read({ type: `onelane.${'\0'.repeat(50)}` });
    expect(read).toMatchObject({ kind: 'stray' });
    const detail = read.kind === 'stray' ? read.detail : '';
    expect(detail.includes('\0')).toBe(false);
    expect(detail.isWellFormed() && detail.length <= 2_000).toBe(true);
  });

  it('never makes the reader throw: arbitrary bytes', () => {
    const { deliver } = bundle();
    const check = fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expect(['command', 'stray']).toContain(decodeDelivery(deliver(bytes)).kind);
    });
    fc.assert(check, { numRuns: 3_000, seed: SEED });
  });

  it('never makes the reader throw: arbitrary JSON, and envelopes with arbitrary attributes', () => {
    const { envelope, readText } = bundle();
    const names = fc.constantFrom('id', 'source', 'type', 'subject', 'time', 'data', 'expectedrevision', 'traceparent');
    const check = fc.property(fc.dictionary(names, fc.anything({ maxDepth: 2 })), (over) => {
      for (const raw of [over, envelope(over)]) {
        const read = readText(safeJson(raw));
        expect(['command', 'stray']).toContain(read.kind);
        if (read.kind === 'command') expect(Number.isNaN(read.timeMs)).toBe(false);
      }
    });
    fc.assert(check, { numRuns: 3_000, seed: SEED });
  });
});

/** As much of a value as JSON can say. */
function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? 'null';
  } catch {
    return 'null';
  }
}

describe('a time', () => {
  it('that the envelope takes is a time that can be printed again', () => {
    const { read } = bundle();
    const digits = (max: number) => fc.integer({ min: 0, max }).map((number) => String(number).padStart(2, '0'));
    const zone = fc.oneof(
      fc.constant('Z'),
      fc.tuple(digits(29), digits(69)).map((parts) => `+${parts.join(':')}`),
    );
    const text = fc
      .tuple(fc.integer({ min: 0, max: 9_999 }), digits(13), digits(32), digits(25), digits(61), digits(61), zone)
      .map(([year, month, day, hour, minute, second, offset]) => {
        return `${String(year).padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}.5${offset}`;
      });
    const check = fc.property(text, (time) => {
      const found = read({ time });
      if (found.kind === 'command') expect(new Date(found.timeMs).toISOString()).toMatch(/Z$/);
    });
    fc.assert(check, { numRuns: 3_000, seed: SEED });
  });
});

describe('splitType', () => {
  it.each([
    ['account.deposit', { type: 'account', name: 'deposit' }],
    ['a.b.c', { type: 'a', name: 'b.c' }],
    ['account', null],
    ['.deposit', null],
    ['account.', null],
    ['', null],
    ['4ccount.deposit', null],
  ])('reads %j', (type, expected) => {
    expect(splitType(type)).toEqual(expected);
  });
});

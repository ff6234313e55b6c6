// What "the same content" means, the canonical JSON below it, and the hash of an entry.
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../shared/command/canonical.ts';
import { entryHash } from '../../../shared/command/entry.ts';
import { position, revision, type Json } from '../../../shared/command/identity.ts';
import { contentHash, type CommandContent } from '../../../shared/command/content.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';

const SEED = 12;
// What JSON.parse gives back is Json by definition.
const jsonValue = fc.jsonValue({ stringUnit: 'binary' }).map((value) => JSON.parse(JSON.stringify(value)) as Json);

function bundle() {
  const content: CommandContent = {
    type: 'account.deposit',
    subject: '42',
    data: { amount: 500, note: 'a' },
    expectedRevision: null,
  };
  const hashOf = (over: Partial<CommandContent> = {}) => contentHash({ ...content, ...over });
  const hashOfEvent = (over: Readonly<Record<string, unknown>>) => {
    const event = {
      specversion: '1.0',
      id: '1',
      source: '/a',
      type: 'account.deposit',
      subject: '42',
      data: 1,
      ...over,
    };
    const bytes = Buffer.from(JSON.stringify(event));
    const read = decodeDelivery({ position: position(0), bytes, headers: {}, appendedAt: new Date(0) });
    return read.kind === 'command' ? read.content : read.detail;
  };
  return { hashOf, hashOfEvent };
}

describe('canonical JSON', () => {
  it('is what the reference library prints, for any value', () => {
    const check = fc.property(jsonValue, (value) => {
      expect(canonicalJson(value)).toBe(canonicalize(value));
    });
    fc.assert(check, { numRuns: 3_000, seed: SEED });
  });

  it('says the same after it was parsed and printed once more', () => {
    const check = fc.property(jsonValue, (value) => {
      const text = canonicalJson(value);
      // What JSON.parse gives back is Json by definition.
      expect(canonicalJson(JSON.parse(text) as Json)).toBe(text);
    });
    fc.assert(check, { numRuns: 1_000, seed: SEED });
  });

  it('sorts names by code units, not by code points, and escapes what JSON must', () => {
    expect(canonicalJson({ '\u{1f600}': 1, '\ufb33': 2, b: 3, a: 4 })).toBe('{"a":4,"b":3,"\u{1f600}":1,"\ufb33":2}');
    expect(canonicalJson('"\\\n\u0000\u007f€')).toBe('"\\"\\\\\\n\\u0000\u007f€"');
  });

  it.each([
    [1e21, '1e+21'],
    [1e-7, '1e-7'],
    [-0, '0'],
    [0.1, '0.1'],
    [333333333.33333329, '333333333.3333333'],
  ])('prints the number %d as ECMAScript does', (number, text) => {
    expect(canonicalJson(number)).toBe(text);
  });

  it.each([Number.POSITIVE_INFINITY, Number.NaN, '\ud800', { '\udc00': 1 }])('refuses %s', (value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
  });
});

describe('the content hash', () => {
  it('is that of the canonical JSON of type, subject, data and expectedrevision', () => {
    // From an independent implementation (Python: json.dumps with sorted keys and no white space, then hashlib.sha256).
    expect(bundle().hashOf()).toBe('09e2ac6594baa184ab51b5dd142bbef154b1c52dd88b4438450bab3c5644fa55');
    expect(bundle().hashOf({ expectedRevision: revision(7) })).toBe(
      '4190227f89af266ccc4fbb44ed9e249e1abcd061fe4938be7726536ac91381c4',
    );
  });

  it('does not depend on the order of names or on how a number is written', () => {
    const { hashOf, hashOfEvent } = bundle();
    expect(hashOf({ data: { note: 'a', amount: 500 } })).toBe(hashOf());
    expect(hashOf({ data: { amount: 5e2, note: 'a' } })).toBe(hashOf());
    expect(hashOfEvent({})).toBe(hashOfEvent({ data: 1.0 }));
  });

  it('does not depend on id, source, time or trace: honest repeats differ there', () => {
    const { hashOfEvent } = bundle();
    const first = hashOfEvent({ time: '2026-11-22T10:00:00Z', traceparent: '00-a' });
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(hashOfEvent({ time: '2027-01-01T00:00:00Z', traceparent: '00-b', id: '2', source: '/b' })).toBe(first);
  });

  it.each<[string, Partial<CommandContent>]>([
    ['the command', { type: 'account.withdraw' }],
    ['the subject', { subject: '43' }],
    ['a value', { data: { amount: 501, note: 'a' } }],
    ['the type of a value', { data: { amount: '500', note: 'a' } }],
    ['the order of a list', { data: [2, 1] }],
    ['the expected revision', { expectedRevision: revision(0) }],
  ])('changes with %s', (_, over) => {
    const { hashOf } = bundle();
    expect(hashOf(over)).not.toBe(hashOf());
    expect(hashOf({ data: [1, 2] })).not.toBe(hashOf({ data: [2, 1] }));
  });

  it('tells "must not exist" from "nothing expected"', () => {
    const { hashOf } = bundle();
    expect(hashOf({ expectedRevision: revision(0) })).not.toBe(hashOf({ expectedRevision: null }));
  });
});

describe('the hash of an entry', () => {
  const bytes = Buffer.from('{}');

  it('depends on bytes and on every header, not on the order of headers', () => {
    const one = entryHash({ bytes, headers: { a: '1', b: '2' } });
    expect(entryHash({ bytes, headers: { b: '2', a: '1' } })).toBe(one);
    expect(entryHash({ bytes, headers: { a: '1', b: '3' } })).not.toBe(one);
    expect(entryHash({ bytes, headers: { a: '1' } })).not.toBe(one);
    expect(entryHash({ bytes: Buffer.from('[]'), headers: { a: '1', b: '2' } })).not.toBe(one);
  });

  it('never takes one part for another', () => {
    expect(entryHash({ bytes, headers: { ab: 'c' } })).not.toBe(entryHash({ bytes, headers: { a: 'bc' } }));
    expect(entryHash({ bytes: Buffer.from('1:a1:b'), headers: {} })).not.toBe(
      entryHash({ bytes: Buffer.from(''), headers: { a: 'b' } }),
    );
  });
});

// Identity: ids of callers that never collide, subjects that can be carried, brands that cannot be swapped.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  commandIdOf,
  isResourceTypeName,
  newCommandId,
  newUuid,
  partition,
  position,
  resourceKey,
  revision,
  subjectFault,
  SUBJECT_BYTES_MAX,
  trustedTypeName,
  type CommandId,
  type Partition,
  type ResourceKey,
  type Revision,
  type Uuid,
} from '../../../shared/command/identity.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{12}$/;

describe('a command id', () => {
  it('that is a UUID stands for itself, in lower case, whoever sends it', () => {
    const id = '0198C2E4-0000-7000-8000-00000000000A';
    expect(commandIdOf(id, '/a')).toBe(id.toLowerCase());
    expect(commandIdOf(id, '/b')).toBe(id.toLowerCase());
  });

  it('of any other form becomes a UUID of version 8 with the RFC variant', () => {
    const [, version, variant] = UUID.exec(commandIdOf('order-17', '/checkout')) ?? [];
    expect(version).toBe('8');
    expect('89ab').toContain(variant);
  });

  it('is derived as the docs say: SHA-256 of "<length of source>:<source><id>"', () => {
    const digest = createHash('sha256').update('9:/checkoutorder-17').digest('hex');
    const id = commandIdOf('order-17', '/checkout').replaceAll('-', '');
    expect(id.slice(0, 12)).toBe(digest.slice(0, 12));
    expect(id.slice(13, 16)).toBe(digest.slice(13, 16));
    expect(id.slice(17)).toBe(digest.slice(17, 32));
  });

  it('differs when the source differs, also where source and id run together', () => {
    expect(commandIdOf('1', '/a')).not.toBe(commandIdOf('1', '/b'));
    expect(commandIdOf('bc', 'a')).not.toBe(commandIdOf('c', 'ab'));
    expect(commandIdOf('1', '/a')).toBe(commandIdOf('1', '/a'));
  });

  it('never collides for different pairs of source and id', () => {
    // Few letters, so that pairs meet and run together often.
    const short = fc.string({ unit: fc.constantFrom('a', '1', ':'), maxLength: 4 });
    const pair = fc.tuple(short, short);
    const check = fc.property(pair, pair, ([sourceA, idA], [sourceB, idB]) => {
      const same = sourceA === sourceB && idA === idB;
      expect(commandIdOf(idA, sourceA) === commandIdOf(idB, sourceB)).toBe(same);
    });
    fc.assert(check, { numRuns: 2_000, seed: 3 });
  });

  it('that we make is of version 7, so that ids of one time lie together', () => {
    const [first, second] = [newCommandId(), newCommandId()];
    expect(UUID.exec(first)?.[1]).toBe('7');
    expect(UUID.exec(newUuid())?.[1]).toBe('7');
    expect(first < second).toBe(true);
  });
});

describe('a subject', () => {
  it.each(['1', 'Zürich', '😀', 'a/b', ' ', 'x'.repeat(SUBJECT_BYTES_MAX)])('may be %j', (subject) => {
    expect(subjectFault(subject)).toBeNull();
  });

  it.each([
    ['empty', ''],
    ['a lone surrogate', 'a\ud800'],
    ['a swapped pair of surrogates', '\udc00\ud800'],
    ['a NUL', 'a\u0000b'],
    ['too long', 'x'.repeat(SUBJECT_BYTES_MAX + 1)],
    ['too long in bytes, though not in characters', 'é'.repeat(SUBJECT_BYTES_MAX / 2 + 1)],
  ])('may not be %s', (_, subject) => {
    expect(subjectFault(subject)).toMatch(/^the subject /);
  });

  it('without a fault survives UTF-8 unchanged', () => {
    const check = fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (subject) => {
      const carried = Buffer.from(subject, 'utf8').toString('utf8');
      if (subjectFault(subject) === null) expect(carried).toBe(subject);
    });
    fc.assert(check, { numRuns: 2_000, seed: 4 });
  });
});

describe('a resource type', () => {
  it.each(['account', 'A', 'order-line_2', `a${'b'.repeat(62)}`])('may be called %s', (name) => {
    expect(isResourceTypeName(name)).toBe(true);
  });

  it.each(['', '1a', 'a.b', 'a/b', 'a b', 'ä', 'a\n', `a${'b'.repeat(63)}`])('may not be called %j', (name) => {
    expect(isResourceTypeName(name)).toBe(false);
  });

  it('and a subject give the key, in which the first slash divides them', () => {
    expect(resourceKey(trustedTypeName('account'), 'a/b')).toBe('account/a/b');
  });
});

describe('brands', () => {
  it('cannot be swapped, and plain values are none', () => {
    expectTypeOf<CommandId>().not.toExtend<Uuid>();
    expectTypeOf<ResourceKey>().not.toExtend<CommandId>();
    expectTypeOf<Partition>().not.toExtend<Revision>();
    expectTypeOf<string>().not.toExtend<CommandId>();
    expectTypeOf<CommandId>().toExtend<string>();
  });

  it('are the plain values at run time', () => {
    expect([partition(3), revision('7'), position('9007199254740993')]).toEqual([3, 7, 9_007_199_254_740_993n]);
  });
});

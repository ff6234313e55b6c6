// Proves that an `after` token gives back what it was made from, and that nothing else is taken for one.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAfter, printAfter } from '../../../producers/http/after-token.ts';
import { partition, position, resourceKey, trustedContent, trustedTypeName } from '../../../shared/command/identity.ts';

describe('the after token', () => {
  it('gives back what it was made from', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 1_023 }),
        fc.option(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })),
        fc.string({ minLength: 1, maxLength: 170, unit: 'grapheme' }),
        (at, where, subject) => {
          const after = {
            partition: partition(at),
            position: where === null ? null : position(where),
            key: resourceKey(trustedTypeName('account'), subject),
            content: trustedContent('0f'.repeat(32)),
            issuedMs: 1_700_000_000_000,
          };
          expect(parseAfter(printAfter(after))).toEqual(after);
        },
      ),
    );
  });

  it('fits a URL', () => {
    const after = printAfter({
      partition: partition(1),
      position: position(2n ** 63n - 1n),
      key: resourceKey(trustedTypeName('t'.repeat(63)), 'ü'.repeat(256)),
      content: trustedContent('0f'.repeat(32)),
      issuedMs: 1_700_000_000_000,
    });
    expect(after).toMatch(/^[A-Za-z0-9_-]{1,2048}$/);
    expect(parseAfter(after)).not.toBe(null);
  });

  it('is nothing else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map((text) => Buffer.from(text).toString('base64url')),
        ),
        (text) => {
          expect(parseAfter(text)).toBe(null);
        },
      ),
    );
  });
});

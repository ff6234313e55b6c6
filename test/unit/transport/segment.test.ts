// Owns the proof that a segment gives back what was put in, from any position on.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeSegment, decodeSegment } from '../../../shared/transport/postgres/segment.ts';
import { readHints, writeHints } from '../../../shared/transport/postgres/heads.ts';
import { partition, position } from '../../../shared/command/identity.ts';

const headers = fc.dictionary(fc.stringMatching(/^[a-z-]{1,12}$/), fc.string({ unit: 'grapheme' }), { maxKeys: 4 });
const entry = fc.record({ bytes: fc.uint8Array({ maxLength: 300 }), headers });

describe('a segment', () => {
  test('gives back positions, bytes and headers, whole or from any position on', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 40 }),
        fc.nat(1_000_000),
        fc.nat(50),
        (entries, first, skip) => {
          const stored = {
            lastPosition: first + entries.length - 1,
            entries: entries.length,
            appendedAt: new Date(1_000),
            frames: encodeSegment(entries),
          };
          const deliveries = decodeSegment(stored, first + skip);
          expect(deliveries.length).toBe(Math.max(0, entries.length - skip));
          deliveries.forEach((delivery, index) => {
            const put = entries[skip + index];
            expect(delivery.position).toBe(position(first + skip + index));
            expect(Buffer.from(delivery.bytes).equals(Buffer.from(put?.bytes ?? []))).toBe(true);
            expect(delivery.headers).toEqual({ ...put?.headers });
            expect(delivery.appendedAt.getTime()).toBe(1_000);
          });
        },
      ),
    );
  });

  test('writes headers that repeat once', () => {
    const one = { bytes: Buffer.from('x'), headers: { 'onelane-system': 'a'.repeat(36) } };
    const size = (count: number) => encodeSegment(Array.from({ length: count }, () => ({ ...one }))).length;
    expect(size(101) - size(100)).toBeLessThan(10);
  });

  test('of an unknown format is not guessed at', () => {
    const frames = encodeSegment([{ bytes: Buffer.from('x'), headers: {} }]);
    frames.writeUInt8(9, 0);
    expect(() => decodeSegment({ lastPosition: 0, entries: 1, appendedAt: new Date(0), frames }, 0)).toThrow(
      RangeError,
    );
  });
});

describe('hints', () => {
  test('say where partitions end, in payloads that NOTIFY takes', () => {
    const ends = new Map(Array.from({ length: 1_024 }, (_, index) => [partition(index), index * 1_000_003]));
    const payloads = writeHints(ends);
    for (const payload of payloads) expect(payload.length).toBeLessThan(7_900);
    expect(new Map(payloads.flatMap(readHints))).toEqual(ends);
  });

  test('that cannot be read are no hints', () => {
    for (const payload of ['', ',', 'x', '1', '1:', ':1', '-1:5', '1:99999999999999999999', '1:2:3']) {
      expect(readHints(payload)).toEqual([]);
    }
    expect(readHints('x,3:4')).toEqual([[3, 4]]);
  });
});

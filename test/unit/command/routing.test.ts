// Routing: the vectors that other languages are held to, and Kafka's own partitioner as the judge of ours.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { trustedKey } from '../../../shared/command/identity.ts';
import { murmur2, partitionOf } from '../../../shared/command/routing.ts';
import { BrokenInvariant } from '../../../shared/process/errors.ts';

const SEED = 20_260_123;
const KEYS = 10_000;
const VECTORS = new URL('../../../shared/command/routing-vectors.json', import.meta.url);
const vectorsSchema = z.object({
  vectors: z.array(
    z.object({ key: z.string(), utf8: z.string(), murmur2: z.int(), partitions: z.record(z.string(), z.int()) }),
  ),
});

function bundle() {
  const { vectors } = vectorsSchema.parse(JSON.parse(readFileSync(VECTORS, 'utf8')));
  const kafkaPartitioner = kafkajs.Partitioners.DefaultPartitioner();
  const ofKafka = (key: string, partitions: number): number =>
    kafkaPartitioner({
      topic: 'any',
      partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({
        partitionId,
        leader: 1,
        partitionErrorCode: 0,
        replicas: [1],
        isr: [1],
      })),
      message: { key: Buffer.from(key, 'utf8'), value: null },
    });
  return { vectors, ofKafka };
}

describe('the test vectors', () => {
  it('hold for our murmur2 and our partitions', () => {
    const { vectors } = bundle();
    expect(vectors.length).toBeGreaterThan(20);
    for (const vector of vectors) {
      expect(Buffer.from(vector.key, 'utf8').toString('hex')).toBe(vector.utf8);
      expect(murmur2(Buffer.from(vector.utf8, 'hex'))).toBe(vector.murmur2);
      for (const [count, expected] of Object.entries(vector.partitions)) {
        expect(partitionOf(trustedKey(vector.key), Number(count))).toBe(expected);
      }
    }
  });

  it('include the ones that the Java client is tested with', () => {
    const { vectors } = bundle();
    const known = new Map(vectors.map((vector) => [vector.key, vector.murmur2]));
    expect(known.get('21')).toBe(-973932308);
    expect(known.get('foobar')).toBe(-790332482);
    expect(known.get('a-little-bit-long-string')).toBe(-985981536);
    expect(known.get('a-little-bit-longer-string')).toBe(-1486304829);
    expect(known.get('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8')).toBe(-58897971);
    expect(known.get('abc')).toBe(479470107);
  });

  it('reach negative hashes, every length of tail and text beyond ASCII', () => {
    const { vectors } = bundle();
    expect(vectors.some((vector) => vector.murmur2 < 0)).toBe(true);
    expect(new Set(vectors.map((vector) => (vector.utf8.length / 2) % 4))).toEqual(new Set([0, 1, 2, 3]));
    expect(vectors.some((vector) => /[^\u0000-\u007f]/.test(vector.key))).toBe(true);
  });
});

describe('partitionOf', () => {
  it.each([
    ['ASCII', fc.string({ unit: 'grapheme-ascii', maxLength: 64 })],
    ['text of all planes', fc.string({ unit: 'binary', maxLength: 64 })],
  ])(`agrees with the partitioner of kafkajs for ${KEYS} random keys: %s`, (_, text) => {
    const { ofKafka } = bundle();
    const check = fc.property(text, fc.integer({ min: 1, max: 1_000 }), (subject, partitions) => {
      const key = `account/${subject}`;
      expect(partitionOf(trustedKey(key), partitions)).toBe(ofKafka(key, partitions));
    });
    fc.assert(check, { numRuns: KEYS, seed: SEED });
  });

  it('gives a partition of the range for every count', () => {
    for (const partitions of [1, 2, 3, 16, 4_096]) {
      for (let at = 0; at < 500; at++) {
        const found = partitionOf(trustedKey(`account/${at}`), partitions);
        expect(found >= 0 && found < partitions && Number.isInteger(found)).toBe(true);
      }
    }
  });

  it('refuses a system without partitions', () => {
    expect(() => partitionOf(trustedKey('account/1'), 0)).toThrow(BrokenInvariant);
  });
});

// Owns the way from a resource key to its partition: murmur2 as in Kafka's default partitioner.
import { invariant } from '../process/errors.ts';
import { partition, type Partition, type ResourceKey } from './identity.ts';

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** `murmur2(utf-8 key)` masked to 31 bits, modulo `partitions` (≥ 1). Source: Kafka's BuiltInPartitioner and Utils.murmur2. */
export function partitionOf(key: ResourceKey, partitions: number): Partition {
  invariant(partitions >= 1, 'there is at least one partition');
  // A UTF-16 unit takes three bytes at most; nearly every key fits.
  const bytes = key.length * 3 <= SCRATCH.length ? SCRATCH : Buffer.alloc(key.length * 3);
  return partition((murmur2(bytes, bytes.write(key, 'utf8')) & 0x7fffffff) % partitions);
}

const SCRATCH = Buffer.alloc(2_048);

/** 32-bit murmur2 of the first `length` bytes as a signed integer; bytes of the tail count as unsigned. */
export function murmur2(bytes: Uint8Array, length = bytes.length): number {
  let h = SEED ^ length;
  const whole = length & ~3;
  for (let at = 0; at < whole; at += 4) {
    let k = at4(bytes, at);
    k = Math.imul(k, M);
    k ^= k >>> R;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  if (whole < length) {
    for (let at = length - 1; at >= whole; at--) h ^= (bytes[at] ?? 0) << (8 * (at - whole));
    h = Math.imul(h, M);
  }
  h ^= h >>> 13;
  h = Math.imul(h, M);
  return h ^ (h >>> 15);
}

function at4(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}

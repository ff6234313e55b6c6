// Owns the binary form of an array of hashes: half as long as their text, and read without parsing.
import type { ContentHash } from '../../../shared/command/identity.ts';

/** A whole parameter of type bytea[], built as hex in one go: each element's length is the separator between the elements. */
export function hashArray(hashes: readonly ContentHash[]): Uint8Array {
  if (hashes.length === 0) return Buffer.from(word(0) + NO_NULLS + BYTEA, 'hex');
  const head = ONE_DIMENSION + NO_NULLS + BYTEA + word(hashes.length) + FROM_ONE;
  return Buffer.from(head + HASH_LENGTH + hashes.join(HASH_LENGTH), 'hex');
}

/** PostgreSQL's number of the element type. */
const BYTEA = word(17);
const HASH_LENGTH = word(32);
const NO_NULLS = word(0);
const ONE_DIMENSION = word(1);
const FROM_ONE = word(1);

function word(value: number): string {
  return value.toString(16).padStart(8, '0');
}

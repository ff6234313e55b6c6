// Owns the binary form of arrays whose elements are all of one width: ids and hashes, half as long as their text and read without parsing.
import type { CommandId, ContentHash } from '../../../shared/command/identity.ts';

/** A whole parameter, built as hex in one go: each element's length is the separator between the elements. */
export function uuidArray(ids: readonly CommandId[]): Uint8Array {
  return fixedArray(UUID, ids.length, ids.join(UUID.separator).replaceAll('-', ''));
}

export function hashArray(hashes: readonly ContentHash[]): Uint8Array {
  return fixedArray(HASH, hashes.length, hashes.join(HASH.separator));
}

interface Fixed {
  /** PostgreSQL's number of the element type, as eight hex digits. */
  readonly type: string;
  /** The length of an element in bytes, the same way. */
  readonly separator: string;
}

const UUID: Fixed = { type: word(2950), separator: word(16) };
/** bytea of a SHA-256. */
const HASH: Fixed = { type: word(17), separator: word(32) };
const NO_NULLS = word(0);
const ONE_DIMENSION = word(1);
const FROM_ONE = word(1);

function fixedArray(of: Fixed, count: number, elements: string): Uint8Array {
  if (count === 0) return Buffer.from(word(0) + NO_NULLS + of.type, 'hex');
  return Buffer.from(ONE_DIMENSION + NO_NULLS + of.type + word(count) + FROM_ONE + of.separator + elements, 'hex');
}

function word(value: number): string {
  return value.toString(16).padStart(8, '0');
}

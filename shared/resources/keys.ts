// Owns the key codecs: a subject is read as its key column will read it, and printed again, so that one row has one name.

export type KeyType = 'text' | 'bigint' | 'integer' | 'uuid';

/** The one spelling of `subject` for a key of this type; null when the column cannot take it at all. Pure and cheap. */
export function canonicalKey(type: KeyType, subject: string): string | null {
  switch (type) {
    case 'text':
      return subject;
    case 'bigint':
      return canonicalNumber(subject, BIGINT_MAX);
    case 'integer':
      return canonicalNumber(subject, INTEGER_MAX);
    case 'uuid':
      return canonicalUuid(subject);
  }
}

const INTEGER_MAX = 2n ** 31n - 1n;
const BIGINT_MAX = 2n ** 63n - 1n;
/** No leading zero, no sign but a minus, and short enough to be in range for certain. */
const SURE_NUMBER = /^(?:0|-?[1-9][0-9]{0,8})$/;
const NUMBER = /^[+-]?[0-9]{1,64}$/;
const SURE_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function canonicalNumber(subject: string, max: bigint): string | null {
  if (SURE_NUMBER.test(subject)) return subject;
  if (!NUMBER.test(subject)) return null;
  const value = BigInt(subject.startsWith('+') ? subject.slice(1) : subject);
  return value > max || value < -max - 1n ? null : String(value);
}

function canonicalUuid(subject: string): string | null {
  if (SURE_UUID.test(subject)) return subject;
  const hex = subject
    .replace(/^\{(.*)\}$/, '$1')
    .replaceAll('-', '')
    .toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(hex)) return null;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

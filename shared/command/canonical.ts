// Owns canonical JSON (RFC 8785): one text for one value, whatever the order of its names.
import type { Json } from './identity.ts';

/** Text that stands for itself between quotes: no control character, no `"` or `\`, and no half of a surrogate pair. */
const PLAIN = /^[^"\\\u0000-\u001f\ud800-\udfff]*$/;

/**
 * Names sorted by UTF-16 code units, numbers and strings as ECMAScript prints them, no white space. Throws a TypeError on what
 * JSON cannot say: a number that is not finite, a lone surrogate. The caller has bounded the depth.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return canonicalText(value);
  if (value === null || typeof value !== 'object') return canonicalScalar(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const names = Object.keys(value);
  if (names.length > 1) names.sort();
  let members = '';
  for (const name of names) {
    const inner = value[name];
    if (inner === undefined) continue;
    members += `${members === '' ? '' : ','}${canonicalText(name)}:${canonicalJson(inner)}`;
  }
  return `{${members}}`;
}

export function canonicalText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new TypeError('a lone surrogate has no canonical JSON');
  return JSON.stringify(text);
}

function canonicalScalar(value: number | boolean | null): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} has no canonical JSON`);
  return String(value);
}

/** Array.isArray does not narrow a readonly list. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

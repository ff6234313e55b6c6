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
  let members = '';
  // A list of the names would only be thrown away again, and nearly always they stand in their order.
  if (isSorted(value)) for (const name in value) members += member(name, value[name], members === '');
  else for (const name of Object.keys(value).sort()) members += member(name, value[name], members === '');
  return `{${members}}`;
}

export function canonicalText(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new TypeError('a lone surrogate has no canonical JSON');
  return JSON.stringify(text);
}

function member(name: string, inner: Json | undefined, isFirst: boolean): string {
  if (inner === undefined) return '';
  return `${isFirst ? '' : ','}${canonicalText(name)}:${canonicalJson(inner)}`;
}

function isSorted(value: Readonly<Record<string, Json>>): boolean {
  let before = '';
  for (const name in value) {
    if (name < before) return false;
    before = name;
  }
  return true;
}

function canonicalScalar(value: number | boolean | null): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} has no canonical JSON`);
  return String(value);
}

/** Array.isArray does not narrow a readonly list. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

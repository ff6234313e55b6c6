// Owns the codec of jsonb: JSON values, and a refusal of numbers that JavaScript would change.
import type { z } from 'zod';
import type { Json } from '../command/identity.ts';
import { custom, notStorable, type Column } from './columns.ts';

/**
 * `jsonb`. With a zod schema the state has the schema's type, and a stored document that does not match parks the command instead
 * of reaching `decide`. A stored number that a JavaScript number cannot hold does the same: it would be changed by the next write.
 */
export function jsonb(name?: string): Column<Json>;
export function jsonb<Value>(name: string | undefined, schema: z.ZodType<Value>): Column<Value>;
export function jsonb(name?: string, schema?: z.ZodType): Column<unknown> {
  return custom<unknown>(name, {
    sqlType: 'jsonb',
    encode: encodeJson,
    decode: (stored) => {
      const parsed: unknown = parseLossless(stored);
      return schema === undefined ? parsed : schema.parse(parsed);
    },
  });
}

/** With names in the order in which PostgreSQL gives them back: a command may print what it sees, and must see the same in any batch. */
function encodeJson(value: unknown): string {
  const printed: string | undefined = JSON.stringify(value, (_name, part: unknown) => inOrder(part));
  if (printed === undefined) throw notStorable(value, 'jsonb');
  return printed;
}

function inOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const names = Object.keys(value);
  for (let at = 1; at < names.length; at++) {
    if (compareNames(names[at - 1] ?? '', names[at] ?? '') > 0) return ordered(value, names);
  }
  return value;
}

function ordered(value: object, names: readonly string[]): unknown {
  const sorted: Record<string, unknown> = {};
  // Defined and not assigned: a document may have a property of the name __proto__.
  for (const name of [...names].sort(compareNames)) {
    Object.defineProperty(sorted, name, { value: Reflect.get(value, name), enumerable: true });
  }
  return sorted;
}

/** The shorter one first, in bytes of UTF-8; among equals, byte by byte. */
function compareNames(one: string, other: string): number {
  const [length, otherLength] = [Buffer.byteLength(one), Buffer.byteLength(other)];
  if (length !== otherLength) return length - otherLength;
  // Nearly every name is ASCII, where bytes are characters.
  const isAscii = length === one.length && length === other.length;
  if (!isAscii) return Buffer.compare(Buffer.from(one), Buffer.from(other));
  return one < other ? -1 : Number(one > other);
}

/** A number with fewer digits than this and no exponent survives for certain. */
const SUSPICIOUS = /\d{16}|\d[.\d]{15}|\d[eE]/;
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function parseLossless(stored: string): unknown {
  if (SUSPICIOUS.test(stored)) {
    for (const [token] of stored.matchAll(TOKENS)) {
      if (!token.startsWith('"') && !survives(token))
        throw notStorable(token, 'a JavaScript number: keep it as a string');
    }
  }
  return JSON.parse(stored);
}

/** PostgreSQL prints jsonb numbers without exponent; digits are compared as decimals, not as doubles. */
function survives(token: string): boolean {
  const parsed = Number(token);
  return Number.isFinite(parsed) && decimal(token) === decimal(String(parsed));
}

/** Sign, significant digits and exponent, in one form for equal values. */
function decimal(token: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = Number(exponent) - fraction.length + (digits.length - significant.length);
  return `${sign}${significant}e${power}`;
}

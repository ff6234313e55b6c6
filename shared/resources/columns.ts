// Owns the column codecs: how a value of the state goes to PostgreSQL text and back without loss.
import { OnelaneError } from '../process/errors.ts';
import { parseArray, quotedArray } from './array-text.ts';

/**
 * One column of a resource's table. `encode` throws ValueNotStorable rather than store something else than it was given, and prints as
 * PostgreSQL does: `decode(encode(value))` is what the next command sees, in this batch as in a later one. A name that is left out is the name of the state's property.
 */
export interface Column<Value> {
  readonly name: string | null;
  /** As `::type` takes it, without length or scale: those would cut values silently. */
  readonly sqlType: string;
  readonly isNullable: boolean;
  /** Digits behind the point that the column keeps, where that is part of the mapping; the catalogue must agree. */
  readonly digits: number | null;
  encode(value: Value): string | null;
  decode(text: string | null): Value;
}

/** A value that this column cannot take as it is, or a stored one that its type cannot express. */
export class ValueNotStorable extends OnelaneError {
  readonly code = 'value-not-storable' as const;
}

interface Codec<Value> {
  readonly sqlType: string;
  readonly digits?: number;
  encode(value: Value): string;
  decode(text: string): Value;
}

/** For types that have no function here, an enum for example: `custom('state', { sqlType: 'app.state', encode: …, decode: … })`. */
export function custom<Value>(name: string | undefined, codec: Codec<Value>): Column<Value> {
  return {
    name: name ?? null,
    sqlType: codec.sqlType,
    isNullable: false,
    digits: codec.digits ?? null,
    encode: (value) => codec.encode(value),
    decode: (text) => {
      if (text === null) throw new ValueNotStorable('SQL null stands in a column that is mapped without nullable(…)');
      return codec.decode(text);
    },
  };
}

/** The same column where SQL null is allowed; it is `null` in the state. */
export function nullable<Value>(column: Column<Value>): Column<Value | null> {
  return {
    ...column,
    isNullable: true,
    encode: (value) => (value === null ? null : column.encode(value)),
    decode: (text) => (text === null ? null : column.decode(text)),
  };
}

/** `text`, and `varchar` of any length: what does not fit is refused, never cut. */
export function text(name?: string): Column<string> {
  return custom(name, { sqlType: 'text', encode: storable, decode: asIs });
}

/** `integer` as a number. */
export function integer(name?: string): Column<number> {
  return custom(name, { sqlType: 'integer', encode: encodeInteger, decode: Number });
}

/** `bigint` as a bigint. */
export function bigint(name?: string): Column<bigint> {
  return custom(name, { sqlType: 'bigint', encode: encodeBigint, decode: BigInt });
}

/**
 * `numeric` as a string, digit for digit. A column with a scale, `numeric(12,2)`, says so: `numeric('price', { scale: 2 })`; values with
 * more digits are refused, where PostgreSQL would round.
 */
export function numeric(name?: string, shape: { readonly scale?: number } = {}): Column<string> {
  const { scale } = shape;
  return custom(name, {
    sqlType: 'numeric',
    ...(scale === undefined ? {} : { digits: scale }),
    encode: (value) => encodeNumeric(value, scale),
    decode: asIs,
  });
}

/** `double precision` as a number; NaN, the infinities and −0 come back as they went. */
export function double(name?: string): Column<number> {
  return custom(name, { sqlType: 'double precision', encode: encodeDouble, decode: Number });
}

export function boolean(name?: string): Column<boolean> {
  return custom(name, { sqlType: 'boolean', encode: encodeBoolean, decode: (stored) => stored === 'true' });
}

/** `uuid` as a string in lower case. */
export function uuid(name?: string): Column<string> {
  return custom(name, { sqlType: 'uuid', encode: encodeUuid, decode: asIs });
}

/** `bytea` as a Uint8Array. */
export function bytea(name?: string): Column<Uint8Array> {
  return custom(name, { sqlType: 'bytea', encode: encodeBytes, decode: decodeBytes });
}

/** `text[]`, one dimension, no nulls in it. */
export function textArray(name?: string): Column<readonly string[]> {
  return custom(name, {
    sqlType: 'text[]',
    encode: (value) => quotedArray(value.map(storable)),
    decode: (stored) =>
      parseArray(stored).map((element) => {
        if (element === null) throw notStorable('null', 'an array of texts');
        return element;
      }),
  });
}

const asIs = (stored: string): string => stored;
const INTEGER_MAX = 2 ** 31 - 1;
const BIGINT_MAX = 2n ** 63n - 1n;
const NUMERIC = /^-?(?:0|[1-9][0-9]*)(?:\.([0-9]+))?$/;
const NEGATIVE_ZERO = /^-0(?:\.0+)?$/;
const NUMERIC_NAMES = new Set(['NaN', 'Infinity', '-Infinity']);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function storable(value: string): string {
  if (typeof value !== 'string') throw notStorable(value, 'text');
  if (value.includes('\u0000')) throw new ValueNotStorable('text with a NUL character cannot be stored: use bytea');
  if (!value.isWellFormed()) throw new ValueNotStorable('text with a lone surrogate cannot be stored: use bytea');
  return value;
}

function encodeInteger(value: number): string {
  if (!Number.isInteger(value) || value > INTEGER_MAX || value < -INTEGER_MAX - 1) throw notStorable(value, 'integer');
  return String(value);
}

function encodeBigint(value: bigint): string {
  if (typeof value !== 'bigint' || value > BIGINT_MAX || value < -BIGINT_MAX - 1n) throw notStorable(value, 'bigint');
  return String(value);
}

/** The form that PostgreSQL prints, so that a batch sees what the next one will read. */
function encodeNumeric(value: string, scale: number | undefined): string {
  if (typeof value === 'string' && NUMERIC_NAMES.has(value)) return value;
  const fraction = typeof value === 'string' ? NUMERIC.exec(value) : null;
  if (fraction === null) throw notStorable(value, 'numeric, written as digits without exponent');
  const signed = NEGATIVE_ZERO.test(value) ? value.slice(1) : value;
  if (scale === undefined) return signed;
  const digits = fraction[1]?.length ?? 0;
  if (digits > scale) throw notStorable(value, `numeric with ${scale} digits behind the point`);
  if (digits === scale) return signed;
  return digits === 0 ? `${signed}.${'0'.repeat(scale)}` : signed + '0'.repeat(scale - digits);
}

function encodeDouble(value: number): string {
  if (typeof value !== 'number') throw notStorable(value, 'double precision');
  return Object.is(value, -0) ? '-0' : String(value);
}

function encodeBoolean(value: boolean): string {
  if (typeof value !== 'boolean') throw notStorable(value, 'boolean');
  return String(value);
}

function encodeUuid(value: string): string {
  const lower = typeof value === 'string' ? value.toLowerCase() : '';
  if (!UUID.test(lower)) throw notStorable(value, 'uuid');
  return lower;
}

function encodeBytes(value: Uint8Array): string {
  if (!(value instanceof Uint8Array)) throw notStorable(value, 'bytea');
  return `\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`;
}

function decodeBytes(stored: string): Uint8Array {
  return Uint8Array.from(Buffer.from(stored.slice(2), 'hex'));
}

/** For codecs: the sentence of a value that does not fit. */
export function notStorable(value: unknown, into: string): ValueNotStorable {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value).slice(0, 80);
  return new ValueNotStorable(`${shown} cannot be stored as ${into} without loss`);
}

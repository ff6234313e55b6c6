// Owns turning the bytes of one command into a value, in time that its bound allows whatever they are.
import { isUtf8 } from 'node:buffer';
import { COMMAND_BYTES_MAX } from '../../shared/command/wire.ts';
import { asError } from '../../shared/process/errors.ts';
import { bytesText } from '../../shared/process/quantity.ts';
import { JsonScan } from './json-scan.ts';

/** Up to this size whatever stands there is parsed in some milliseconds. */
export const PARSED_AT_ONCE_BYTES = COMMAND_BYTES_MAX;

export type JsonText =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'empty' }
  /** With so many parts it cannot be a command, however it is written. */
  | { readonly kind: 'too-heavy'; readonly detail: string }
  | { readonly kind: 'broken'; readonly detail: string };

/** Text that is not UTF-8 is refused, never repaired. */
export function readJson(bytes: Buffer): JsonText {
  if (!isUtf8(bytes)) return { kind: 'broken', detail: 'It is not UTF-8' };
  const isLight = bytes.length <= PARSED_AT_ONCE_BYTES || weighsLittle(bytes);
  return isLight ? parseText(bytes.toString('utf8')) : tooHeavy();
}

/** Stops at the bound: whether the rest is JSON is not asked then. */
function weighsLittle(bytes: Buffer): boolean {
  const scan = new JsonScan(0);
  for (let from = 0; from < bytes.length; from += STEP_BYTES) {
    scan.push(bytes.subarray(from, from + STEP_BYTES));
    if (isTooHeavy(scan.weighs())) return false;
  }
  return true;
}

const STEP_BYTES = 64 * 1024;

/** Of a command; its parts alone are as many bytes on the wire. */
export function isTooHeavy(weight: number): boolean {
  return weight > COMMAND_BYTES_MAX;
}

export function tooHeavy(): JsonText & { readonly kind: 'too-heavy' } {
  return {
    kind: 'too-heavy',
    detail: `Its marks and quotes alone have more than the ${bytesText(COMMAND_BYTES_MAX)} of a command`,
  };
}

/** Without its byte order mark. */
export function unmarked(bytes: Buffer): Buffer {
  return BYTE_ORDER_MARK.equals(bytes.subarray(0, BYTE_ORDER_MARK.length))
    ? bytes.subarray(BYTE_ORDER_MARK.length)
    : bytes;
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Of what is known to be small, or light, and UTF-8. */
export function parseText(text: string): JsonText {
  if (text.trim() === '') return { kind: 'empty' };
  try {
    return { kind: 'json', value: JSON.parse(text) };
  } catch (thrown) {
    return { kind: 'broken', detail: asError(thrown).message };
  }
}

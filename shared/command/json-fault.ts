// Owns what JSON may hold before anything looks at it: bounded depth, text that UTF-8 can carry, numbers that JSON can print again.
import type { Json } from './identity.ts';

export interface PointedFault {
  /** RFC 6901, from the root of the command: `/data/amount`. */
  readonly pointer: string;
  readonly detail: string;
}

/** Deep enough for any payload, shallow enough for every recursive reader behind us. */
export const JSON_DEPTH_MAX = 64;

/** The first thing in a parsed document that could not be hashed, sent and read again unchanged; null when all can. */
export function jsonFault(value: unknown): PointedFault | null {
  const fault = faultIn(value, 0);
  return fault === null ? null : { pointer: pointerOf(fault.path.reverse()), detail: fault.detail };
}

/** The same for a payload, which stands one level below the root: whether there is such a thing. */
export function isPayloadFaulty(data: Json): boolean {
  return faultIn(data, 1) !== null;
}

/** A path of names and indexes as an RFC 6901 pointer. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

export function isJsonObject(value: unknown): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Found {
  /** From the inside out. */
  readonly path: PropertyKey[];
  readonly detail: string;
}

function faultIn(value: unknown, depth: number): Found | null {
  if (typeof value === 'string')
    return value.isWellFormed() ? null : found('has a lone surrogate, which UTF-8 cannot carry');
  if (typeof value === 'number')
    return Number.isFinite(value) ? null : found('is a number too large for JSON to print again');
  if (typeof value !== 'object' || value === null) return null;
  if (depth >= JSON_DEPTH_MAX) return found(`is nested deeper than ${JSON_DEPTH_MAX} levels`);
  return Array.isArray(value) ? faultInList(value, depth) : faultInObject(value, depth);
}

function faultInList(list: readonly unknown[], depth: number): Found | null {
  for (let at = 0; at < list.length; at++) {
    const fault = faultIn(list[at], depth + 1);
    if (fault !== null) return within(fault, at);
  }
  return null;
}

function faultInObject(value: object, depth: number): Found | null {
  // JSON.parse makes no names but its own; what is made of them all would only be thrown away again.
  for (const name in value) {
    if (name === '__proto__') return within(found('is a name that cannot be used'), name);
    if (!name.isWellFormed()) return found('has a name with a lone surrogate, which UTF-8 cannot carry');
    const fault = faultIn(Reflect.get(value, name), depth + 1);
    if (fault !== null) return within(fault, name);
  }
  return null;
}

function found(detail: string): Found {
  return { path: [], detail };
}

function within(fault: Found, step: PropertyKey): Found {
  fault.path.push(step);
  return fault;
}

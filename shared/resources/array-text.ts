// Owns the text form of PostgreSQL arrays: one dimension, commas, NULL. Built once per statement, so it is written for speed.
import { OnelaneError } from '../process/errors.ts';

export class ArrayTextMalformed extends OnelaneError {
  readonly code = 'array-text-malformed' as const;
}

/** What one statement would carry is more than it can: fewer at once may fit, and what does not fit alone never will. */
export class StatementTooLarge extends OnelaneError {
  readonly code = 'statement-too-large' as const;
}

/**
 * In characters. Beyond 536 million V8 has no string; with three bytes each these stay below the gigabyte that PostgreSQL takes in one
 * message; and an array that is this long may still double by its quotes.
 */
export const STATEMENT_LENGTH_MAX = 256_000_000;

const NULL = /^null$/i;
const EVERY_SPECIAL = /["\\]/g;
/** In characters: JSON may take six for one. */
const JSON_LENGTH_MAX = 64_000_000;
/** In JSON, what PostgreSQL would not read back: an escape of anything but a quote or a backslash. */
const OTHER_ESCAPE = /\\[^"\\]/;

/** Elements of any content; null is SQL null. `{"a","b \"c\"",null}` */
export function quotedArray(elements: readonly (string | null)[]): string {
  let length = 0;
  for (const element of elements) length += element?.length ?? 0;
  refuseLonger(length, STATEMENT_LENGTH_MAX);
  if (length > JSON_LENGTH_MAX) return quotedSingly(elements);
  // The two notations differ only in their brackets and in how they escape control characters and lone surrogates.
  const json = JSON.stringify(elements);
  return json.includes('\\') && OTHER_ESCAPE.test(json) ? quotedSingly(elements) : `{${json.slice(1, -1)}}`;
}

function quotedSingly(elements: readonly (string | null)[]): string {
  const quoted = elements.map((each) => (each === null ? 'null' : `"${each.replace(EVERY_SPECIAL, '\\$&')}"`));
  return `{${quoted.join(',')}}`;
}

/** Elements that need no quotes: digits, uuids. Never for text that somebody else wrote. */
export function plainArray(elements: readonly (string | number | bigint)[]): string {
  return `{${elements.join(',')}}`;
}

/** Bytes as hex, one bytea per element. */
export function hexArray(elements: readonly string[]): string {
  refuseLonger(
    elements.reduce((sum, element) => sum + element.length, 0),
    STATEMENT_LENGTH_MAX,
  );
  return elements.length === 0 ? '{}' : `{"\\\\x${elements.join('","\\\\x')}"}`;
}

export function refuseLonger(length: number, max: number): void {
  if (length <= max) return;
  throw new StatementTooLarge(
    `what would be written takes over ${max} characters in one statement: write less at once, and keep large content outside of rows`,
  );
}

/** The inverse of quotedArray, for whatever PostgreSQL prints; other shapes (more dimensions, bounds that do not begin at 1) throw. */
export function parseArray(text: string): readonly (string | null)[] {
  if (!text.startsWith('{') || !text.endsWith('}')) throw malformed('it has other bounds than 1, or no braces');
  const elements: (string | null)[] = [];
  const last = text.length - 1;
  let at = 1;
  while (at < last) {
    const element = text[at] === '"' ? quotedElement(text, at) : plainElement(text, at);
    elements.push(element.value);
    at = element.end;
    if (at < last && text[at] !== ',') throw malformed('there is no comma between two elements');
    at++;
  }
  return elements;
}

interface Element {
  readonly value: string | null;
  /** Just behind it. */
  readonly end: number;
}

function quotedElement(text: string, from: number): Element {
  let value = '';
  let at = from + 1;
  while (text[at] !== '"') {
    if (text[at] === '\\') at++;
    if (at >= text.length) throw malformed('a quote is not closed');
    value += text[at] ?? '';
    at++;
  }
  return { value, end: at + 1 };
}

function plainElement(text: string, from: number): Element {
  if (text[from] === '{') throw malformed('it has more than one dimension');
  const comma = text.indexOf(',', from);
  const end = comma === -1 ? text.length - 1 : comma;
  const value = text.slice(from, end);
  return { value: NULL.test(value) ? null : value, end };
}

function malformed(why: string): ArrayTextMalformed {
  return new ArrayTextMalformed(`this array cannot be read: ${why}; store arrays of one dimension`);
}

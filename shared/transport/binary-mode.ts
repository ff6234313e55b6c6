// Owns CloudEvents in binary mode: attributes in headers and the payload beside them become the structured event.
import type { Headers } from '../command/entry.ts';

/** Attributes that are numbers in JSON. */
const WHOLE_NUMBERS: ReadonlySet<string> = new Set(['expectedrevision']);

/**
 * The event in structured JSON, the same bytes for the same headers and payload. What is structured already, and payloads that are no
 * JSON text in UTF-8, stay as they are: reading them says what is wrong. `prefix`: of the headers that are attributes, in lower case.
 * Source: the protocol bindings of CloudEvents 1.0.2 for Kafka and AMQP, section 3.
 */
export function structuredBytes(value: Buffer, headers: Headers, prefix: string): Uint8Array {
  if (!isBinaryMode(headers, prefix)) return value;
  const payload = value.length === 0 ? 'null' : jsonOf(value);
  if (payload === null) return value;
  const attributes = Object.entries(headers)
    .filter(([name]) => name.startsWith(prefix) && !name.startsWith(`${prefix}data`))
    .map(
      ([name, text]) => `${JSON.stringify(name.slice(prefix.length))}:${attribute(name.slice(prefix.length), text)}`,
    );
  return Buffer.from(`{${[...attributes, `"data":${payload}`].join(',')}}`);
}

/** Whether the event's attributes are in its headers. */
export function isBinaryMode(headers: Headers, prefix: string): boolean {
  return headers[`${prefix}specversion`] !== undefined;
}

function attribute(name: string, text: string): string {
  return WHOLE_NUMBERS.has(name) && /^\d{1,15}$/.test(text) ? String(Number(text)) : JSON.stringify(text);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** null: not a JSON text in UTF-8. */
function jsonOf(value: Buffer): string | null {
  try {
    const text = utf8.decode(value);
    JSON.parse(text);
    return text;
  } catch {
    return null;
  }
}

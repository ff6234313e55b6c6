// Owns CloudEvents in Kafka's binary mode: attributes in `ce_` headers and the payload as the value become the structured event.
import type { Headers } from '../../command/entry.ts';

const PREFIX = 'ce_';
/** Attributes that are numbers in JSON. */
const WHOLE_NUMBERS: ReadonlySet<string> = new Set(['expectedrevision']);

/**
 * The event in structured JSON, the same bytes for the same record. Records that are structured already, and payloads that are no
 * JSON text in UTF-8, stay as they are: reading them says what is wrong.
 * Source: Kafka Protocol Binding for CloudEvents 1.0.2, section 3.2.
 */
export function structuredBytes(value: Buffer, headers: Headers): Uint8Array {
  if (headers['ce_specversion'] === undefined) return value;
  const payload = value.length === 0 ? 'null' : jsonOf(value);
  if (payload === null) return value;
  const attributes = Object.entries(headers)
    .filter(([name]) => name.startsWith(PREFIX) && !name.startsWith(`${PREFIX}data`))
    .map(
      ([name, text]) => `${JSON.stringify(name.slice(PREFIX.length))}:${attribute(name.slice(PREFIX.length), text)}`,
    );
  return Buffer.from(`{${[...attributes, `"data":${payload}`].join(',')}}`);
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

// Owns the envelope: the attributes that a command may have as a CloudEvent, and how long each may be.
import { z } from 'zod';
import type { Json } from './identity.ts';
import { isJsonObject } from './json-fault.ts';

export const MEDIA_TYPE = 'application/json';
/** How long each attribute may be, in UTF-16 units. */
export const TEXT_MAX = { id: 256, source: 1024, type: 128, subject: 512, traceparent: 64 } as const;

const text = (max: number) => z.string().min(1).max(max);

/** The envelope; attributes that we do not know are CloudEvents extensions and pass. */
export const envelopeSchema = z.looseObject({
  specversion: z.literal('1.0'),
  id: text(TEXT_MAX.id),
  source: text(TEXT_MAX.source),
  type: text(TEXT_MAX.type),
  subject: text(TEXT_MAX.subject),
  time: z.iso.datetime({ offset: true }).optional(),
  datacontenttype: z
    .string()
    .regex(/^application\/(json|[\w.+-]+\+json)\s*(;.*)?$/i)
    .optional(),
  // What JSON.parse made and jsonFault passed is Json already.
  data: z.custom<Json>().optional(),
  /** Binary payloads would be dropped silently: they are refused instead. */
  data_base64: z.never({ error: 'a payload is JSON in data, never data_base64' }).optional(),
  expectedrevision: z.int().min(0).optional(),
  traceparent: z.string().max(TEXT_MAX.traceparent).optional(),
});

export type Envelope = z.infer<typeof envelopeSchema>;

const INSTANT = z.core.regexes.datetime({ offset: true });

/**
 * What the schema accepts as it stands, seen without the schema: nearly every command, at a tenth of the cost. Of anything else the
 * schema says what it is.
 */
export function isPlainEnvelope(raw: unknown): raw is Envelope {
  return isJsonObject(raw) && raw['specversion'] === '1.0' && hasPlainAttributes(raw);
}

/** Of what any command may say, in whatever form; not the version of the envelope, nor what other names there are. */
export function hasPlainAttributes(raw: Readonly<Record<string, Json>>): boolean {
  const { id, source, type, subject } = raw;
  return (
    isText(id, TEXT_MAX.id) &&
    isText(source, TEXT_MAX.source) &&
    isText(type, TEXT_MAX.type) &&
    isText(subject, TEXT_MAX.subject) &&
    hasPlainOptions(raw)
  );
}

function hasPlainOptions(raw: Readonly<Record<string, Json>>): boolean {
  const { time, datacontenttype, expectedrevision, traceparent } = raw;
  return (
    (time === undefined || (typeof time === 'string' && INSTANT.test(time))) &&
    (datacontenttype === undefined || datacontenttype === MEDIA_TYPE) &&
    raw['data_base64'] === undefined &&
    (expectedrevision === undefined || (Number.isSafeInteger(expectedrevision) && Number(expectedrevision) >= 0)) &&
    (traceparent === undefined || isText(traceparent, TEXT_MAX.traceparent))
  );
}

function isText(value: Json | undefined, max: number): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= max;
}

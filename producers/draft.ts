// Owns the draft: what a caller sends for one command, in the short form or as a CloudEvent, read from parsed JSON.
import { z } from 'zod';
import { envelopeSchema, hasPlainAttributes, isPlainEnvelope } from '../shared/command/envelope.ts';
import { revision, type Json, type Revision } from '../shared/command/identity.ts';
import type { Fault } from './fault.ts';
import { isJsonObject, jsonFault, pointerOf, type PointedFault } from '../shared/command/json-fault.ts';
import { parseSaying } from './schema-sentences.ts';

export interface Draft {
  /** A UUID stands for itself; any other string is hashed with the source. Absent: a new one is made. */
  readonly id?: string | undefined;
  /** The caller. Absent: SOURCE_DEFAULT. */
  readonly source?: string | undefined;
  readonly type: string;
  readonly subject: string;
  readonly data: Json;
  readonly time?: string | undefined;
  readonly expectedRevision?: Revision | undefined;
  readonly traceparent?: string | undefined;
}

export const SOURCE_DEFAULT = '/http';
/** What CloudEvents 1.0 allows as the name of an attribute that we do not know; others are mistakes, not extensions. */
const EXTENSION = /^[a-z0-9]{1,20}$/;

const shape = envelopeSchema.shape;
/** `{type, subject, data}` is enough. A name that we do not know is refused: a misspelt expectation must not be ignored. */
export const shortDraftSchema = z.strictObject({
  id: shape.id.optional(),
  source: shape.source.optional(),
  type: shape.type,
  subject: shape.subject,
  data: shape.data,
  time: shape.time,
  expectedrevision: shape.expectedrevision,
  traceparent: shape.traceparent,
});

/** Never throws. A document with `specversion` is a CloudEvent, whatever its content type says; `event` demands one. */
export function readDraft(raw: unknown, form: 'either' | 'event'): Draft | Fault {
  if (!isJsonObject(raw)) {
    return envelopeFault([{ pointer: '', detail: 'is not a JSON object' }]);
  }
  const fault = jsonFault(raw);
  if (fault !== null) return envelopeFault([fault]);
  const isEvent = form === 'event' || Object.hasOwn(raw, 'specversion');
  const read = isEvent
    ? attributesOf(raw, isPlainEnvelope, envelopeSchema)
    : attributesOf(raw, isPlainShort, shortDraftSchema);
  if (read instanceof z.ZodError) return envelopeFault(pointedFaults(read, ''));
  const strange = isEvent ? Object.keys(raw).find((name) => !EXTENSION.test(name)) : undefined;
  if (strange !== undefined) {
    return envelopeFault([
      { pointer: pointerOf([strange]), detail: 'is no attribute of CloudEvents: lower-case letters and digits only' },
    ]);
  }
  const { id, source, type, subject, data, time, expectedrevision, traceparent } = read;
  const expectedRevision = expectedrevision === undefined ? undefined : revision(expectedrevision);
  return { id, source, type, subject, data: data ?? null, time, expectedRevision, traceparent };
}

type Attributes = z.output<typeof shortDraftSchema>;

/** Nearly every draft is plain, and seen to be so without its schema. */
function attributesOf(
  raw: unknown,
  isPlain: (raw: unknown) => raw is Attributes,
  schema: z.ZodType<Attributes>,
): Attributes | z.ZodError {
  if (isPlain(raw)) return raw;
  const parsed = parseSaying(schema, raw);
  return parsed.success ? parsed.data : parsed.error;
}

function isPlainShort(raw: unknown): raw is Attributes {
  if (!isJsonObject(raw)) return false;
  for (const name in raw) if (!Object.hasOwn(shortDraftSchema.shape, name)) return false;
  return hasPlainAttributes({ id: ANY, source: ANY, ...raw });
}

const ANY = 'any';

/** What zod found, each with its pointer below `root`. */
export function pointedFaults(error: z.ZodError, root: string): readonly PointedFault[] {
  return error.issues.slice(0, FAULTS_MAX).flatMap((issue) => {
    const at = root + pointerOf(issue.path);
    if (issue.code !== 'unrecognized_keys') return [{ pointer: at, detail: issue.message }];
    return issue.keys
      .slice(0, FAULTS_MAX)
      .map((name) => ({ pointer: at + pointerOf([name]), detail: 'is not known here' }));
  });
}

const FAULTS_MAX = 10;

function envelopeFault(pointers: readonly PointedFault[]): Fault {
  const first = pointers[0];
  const detail =
    first === undefined
      ? 'the command cannot be read'
      : `${first.pointer === '' ? 'the command' : first.pointer}: ${first.detail}`;
  return { kind: 'fault', code: 'command-malformed', detail, pointers };
}

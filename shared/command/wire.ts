// Owns the wire: a command as a CloudEvents 1.0 event in structured JSON, the same bytes on every transport.
import type { z } from 'zod';
import { asError } from '../process/errors.ts';
import { commandOf } from './command-of.ts';
import type { CommandContent } from './content.ts';
import type { Command, Delivery, Stray } from './entry.ts';
import { envelopeSchema, isPlainEnvelope, MEDIA_TYPE, type Envelope } from './envelope.ts';
import { storableText } from './failure.ts';
import { commandIdOf, revision, subjectFault } from './identity.ts';
import { jsonFault } from './json-fault.ts';
import { readPrinted } from './printed-command.ts';
import { RESERVED_TYPE, splitType } from './type-names.ts';

/** One command as bytes on the wire, envelope included. */
export const COMMAND_BYTES_MAX = 256 * 1024;

/** The structured-mode bytes of a command. */
export function encodeCommand(command: Command, traceparent?: string): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: command.id,
      source: command.source,
      type: `${command.type}.${command.name}`,
      subject: command.subject,
      time: new Date(command.timeMs).toISOString(),
      datacontenttype: MEDIA_TYPE,
      // What is undefined is not printed.
      expectedrevision: command.expectedRevision ?? undefined,
      traceparent,
      // Last, as readPrinted expects it.
      data: command.data,
    }),
  );
}

/** Reads a delivery; never throws. What cannot be read is a stray that says why. */
export function decodeDelivery(delivery: Delivery): Command | Stray {
  const read = delivery.text ?? delivery.bytes;
  // Text that was read for many entries at once is ASCII: it is as long as its bytes.
  if (read.length > COMMAND_BYTES_MAX) {
    return unreadable(`the entry has ${read.length} bytes; a command has at most ${COMMAND_BYTES_MAX}`);
  }
  let raw: unknown;
  try {
    const json = typeof read === 'string' ? read : utf8.decode(read);
    const printed = readPrinted(json);
    if (printed !== null) return printed;
    raw = JSON.parse(json);
  } catch (thrown) {
    return unreadable(`not a JSON document in UTF-8: ${asError(thrown).message}`);
  }
  const fault = jsonFault(raw);
  if (fault !== null) return unreadable(`${fault.pointer === '' ? 'the document' : fault.pointer} ${fault.detail}`);
  return decodeEnvelope(raw, delivery.appendedAt);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodeEnvelope(raw: unknown, appendedAt: Date): Command | Stray {
  if (isPlainEnvelope(raw)) return readEnvelope(raw, appendedAt);
  const parsed = envelopeSchema.safeParse(raw);
  if (!parsed.success) return unreadable(`not a CloudEvents 1.0 command: ${describe(parsed.error)}`);
  return readEnvelope(parsed.data, appendedAt);
}

function readEnvelope(event: Envelope, appendedAt: Date): Command | Stray {
  const names = splitType(event.type);
  if (names === null) return unreadable(`type "${event.type}" is not <resource type>.<command name>`);
  if (names.type === RESERVED_TYPE) {
    return {
      kind: 'stray',
      reason: 'operator-entry-unknown',
      detail: storableText(`no operator entry is called "${event.type}"`),
    };
  }
  const fault = subjectFault(event.subject);
  if (fault !== null) return unreadable(fault);
  const content: CommandContent = {
    type: event.type,
    subject: event.subject,
    data: event.data ?? null,
    expectedRevision: event.expectedrevision === undefined ? null : revision(event.expectedrevision),
  };
  return commandOf(content, names, {
    id: commandIdOf(event.id, event.source),
    source: event.source,
    timeMs: event.time === undefined ? appendedAt.getTime() : Date.parse(event.time),
  });
}

function describe(error: z.ZodError): string {
  return error.issues
    .slice(0, 3)
    .map((issue) => `/${issue.path.join('/')}: ${issue.message}`)
    .join('; ');
}

function unreadable(detail: string): Stray {
  return { kind: 'stray', reason: 'unreadable', detail: storableText(detail) };
}

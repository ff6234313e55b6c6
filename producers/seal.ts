// Owns sealing: a draft is checked against its contract, gets its id, and becomes the bytes that every transport carries.
import type { z } from 'zod';
import type { Contract } from '../shared/command/contract.ts';
import { commandOf } from '../shared/command/command-of.ts';
import { HEADER, type Headers } from '../shared/command/entry.ts';
import {
  commandIdOf,
  newCommandId,
  subjectFault,
  type ContentHash,
  type Json,
  type ResourceTypeName,
  type Uuid,
} from '../shared/command/identity.ts';
import { partitionOf } from '../shared/command/routing.ts';
import { splitType, type TypeNames } from '../shared/command/type-names.ts';
import { COMMAND_BYTES_MAX, encodeCommand } from '../shared/command/wire.ts';
import { asError } from '../shared/process/errors.ts';
import { bytesText } from '../shared/process/quantity.ts';
import type { Routed } from '../shared/transport/transport.ts';
import { pointedFaults, SOURCE_DEFAULT, type Draft } from './draft.ts';
import { fault, faultAt, type Fault } from './fault.ts';
import { parseSaying } from './schema-sentences.ts';

/** A command whose bytes, id and partition are final. */
export interface Sealed extends Routed {
  /** `<resource type>.<command name>`, as sent. */
  readonly type: string;
  readonly subject: string;
  readonly content: ContentHash;
}

/** What a producer needs to know of a resource type. */
export interface SealingType {
  readonly contract: Contract;
  readonly rows: { canonicalSubject(subject: string): string | null };
}

export interface SealGiven {
  readonly types: ReadonlyMap<ResourceTypeName, SealingType>;
  readonly system: { readonly id: Uuid; readonly partitions: number; readonly layout: number };
  now(): Date;
}

export type Seal = (draft: Draft) => Sealed | Fault;

/** The headers are the same for every command of a process. The seal never throws. */
export function openSeal(given: SealGiven): Seal {
  const headers: Headers = Object.freeze({
    [HEADER.system]: given.system.id,
    [HEADER.layout]: String(given.system.layout),
  });
  const namesByType = allNames(given.types);
  return (draft) => {
    const names = namesByType.get(draft.type);
    if (names === undefined) return unknownNames(draft.type, given.types);
    const wrong = subjectWrong(draft.subject, names.known) ?? payloadWrong(draft, names);
    return wrong ?? sealed(draft, { names, headers, given });
  };
}

interface Names extends TypeNames {
  readonly known: SealingType;
  readonly schema: z.ZodType;
}

function allNames(types: SealGiven['types']): ReadonlyMap<string, Names> {
  return new Map(
    [...types].flatMap(([type, known]) =>
      [...known.contract.commands].map(([name, schema]) => [`${type}.${name}`, { type, name, known, schema }] as const),
    ),
  );
}

function unknownNames(full: string, types: SealGiven['types']): Fault {
  const names = splitType(full);
  const known = names === null ? undefined : types.get(names.type);
  if (names === null || known === undefined) {
    const list = [...types.keys()].join(', ');
    return faultAt(
      'type-unknown',
      '/type',
      `"${full}" names no resource type: write <resource type>.<command name>, with one of ${list}`,
    );
  }
  const list = [...known.contract.commands.keys()].join(', ');
  return faultAt('command-name-unknown', '/type', `"${names.type}" has no command "${names.name}": it has ${list}`);
}

function subjectWrong(subject: string, known: SealingType): Fault | null {
  const invalid = subjectFault(subject);
  if (invalid !== null) return faultAt('subject-invalid', '/subject', invalid);
  const canonical = known.rows.canonicalSubject(subject);
  if (canonical === subject) return null;
  return faultAt(
    'subject-not-canonical',
    '/subject',
    canonical === null
      ? `"${subject}" cannot be the key of a ${known.contract.type}`
      : `"${subject}" is written "${canonical}": send it in that form, so that one resource has one name`,
  );
}

/** What the schema accepted goes out as it was given, not as the schema printed it: hashes of honest repeats agree. */
function payloadWrong(draft: Draft, names: Names): Fault | null {
  const parsed = safely(names.schema, draft.data);
  if (parsed instanceof Error) return faultAt('payload-invalid', '/data', `cannot be checked: ${parsed.message}`);
  if (parsed.success) return null;
  const pointers = pointedFaults(parsed.error, '/data');
  const first = pointers[0];
  return {
    kind: 'fault',
    code: 'payload-invalid',
    detail: `${first?.pointer ?? '/data'}: ${first?.detail ?? 'off its schema'}`,
    pointers,
  };
}

/** A developer's own check may throw, or be asynchronous, which zod refuses by throwing. */
function safely(schema: z.ZodType, data: Json): z.ZodSafeParseResult<unknown> | Error {
  try {
    return parseSaying(schema, data);
  } catch (thrown) {
    return asError(thrown);
  }
}

interface Parts {
  readonly names: TypeNames;
  readonly headers: Headers;
  readonly given: SealGiven;
}

function sealed(draft: Draft, parts: Parts): Sealed | Fault {
  const { type, subject, data } = draft;
  const expectedRevision = draft.expectedRevision ?? null;
  const source = draft.source ?? SOURCE_DEFAULT;
  const time = timeOf(draft.time, () => parts.given.now());
  if (!(time instanceof Date)) return time;
  const id = draft.id === undefined ? newCommandId() : commandIdOf(draft.id, source);
  try {
    const said = { type, subject, data, expectedRevision };
    const command = commandOf(said, parts.names, { id, source, timeMs: time.getTime() });
    const bytes = encodeCommand(command, draft.traceparent);
    if (bytes.length > COMMAND_BYTES_MAX) {
      return fault(
        'command-too-large',
        `the command has ${bytes.length} bytes on the wire; at most ${bytesText(COMMAND_BYTES_MAX)} are taken`,
      );
    }
    return {
      partition: partitionOf(command.key, parts.given.system.partitions),
      key: command.key,
      id,
      bytes,
      headers: parts.headers,
      type,
      subject,
      content: command.content,
    };
  } catch (thrown) {
    return faultAt('payload-invalid', '/data', `cannot be written as JSON: ${asError(thrown).message}`);
  }
}

/** The wire says it in UTC, in years of four digits: what an offset carries past them, no lane could read. */
function timeOf(text: string | undefined, now: () => Date): Date | Fault {
  if (text === undefined) return now();
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return faultAt('command-malformed', '/time', `"${text}" is no point in time`);
  const year = time.getUTCFullYear();
  if (year >= 0 && year <= YEAR_MAX) return time;
  return faultAt(
    'command-malformed',
    '/time',
    `"${text}" is in the year ${year} of UTC: send one from 0 to ${YEAR_MAX}`,
  );
}

const YEAR_MAX = 9999;

// Owns the identities of the system: branded so that two of them cannot be swapped by mistake.
// The only file in which `as` may make a brand.
import { createHash } from 'node:crypto';
import { v7 as uuidv7, validate as isUuid } from 'uuid';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A UUID in lower case. Version 7 where we make it, version 8 where it is derived from a caller's own string. */
export type CommandId = Brand<string, 'CommandId'>;
/** The first half of a resource's name: `account` in `account/42`. Letters, digits, `-`, `_`; no dot, no slash. */
export type ResourceTypeName = Brand<string, 'ResourceTypeName'>;
/** `<resource type>/<subject>`; its UTF-8 bytes decide the partition. */
export type ResourceKey = Brand<string, 'ResourceKey'>;
/** A number from 0 to N − 1. */
export type Partition = Brand<number, 'Partition'>;
/** An entry's place in its partition's log; rises by one per entry where the log is gapless. */
export type Position = Brand<bigint, 'Position'>;
/** How many commands have changed a resource; 0 means that it never existed. A safe integer. */
export type Revision = Brand<number, 'Revision'>;
/** Rises with every new holder of a partition. */
export type Epoch = Brand<bigint, 'Epoch'>;
/** SHA-256 in lower-case hex of the canonical JSON of type, subject, data and expectedrevision. */
export type ContentHash = Brand<string, 'ContentHash'>;
/** SHA-256 in lower-case hex of an entry's headers and bytes. */
export type EntryHash = Brand<string, 'EntryHash'>;
/** A lower-case UUID of any version that is not a command's: an owner, a consumer, a system. */
export type Uuid = Brand<string, 'Uuid'>;

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

const RESOURCE_TYPE = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
/** Longest subject in UTF-8 bytes; Kafka keys and our btree indexes both take it with room to spare. */
export const SUBJECT_BYTES_MAX = 512;

export const newCommandId = (): CommandId => uuidv7() as CommandId;
export const newUuid = (): Uuid => uuidv7() as Uuid;

/** What our own clients send, seen at once. */
export const SURE_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A UUID stands for itself; any other string is hashed with its source to a UUID of version 8, so that callers never collide. */
export function commandIdOf(id: string, source: string): CommandId {
  if (SURE_UUID.test(id)) return id as CommandId;
  return (isUuid(id) ? id.toLowerCase() : derivedUuid(`${source.length}:${source}${id}`)) as CommandId;
}

export function isResourceTypeName(text: string): text is ResourceTypeName {
  return RESOURCE_TYPE.test(text);
}

/** Why a subject cannot name a resource, or null when it can. */
export function subjectFault(subject: string): string | null {
  if (subject.length === 0) return 'the subject is empty';
  if (!subject.isWellFormed()) return 'the subject has a lone surrogate, which UTF-8 cannot carry';
  if (subject.includes('\u0000')) return 'the subject has a NUL character, which PostgreSQL text cannot carry';
  // A UTF-16 unit takes three bytes at most.
  if (subject.length * 3 > SUBJECT_BYTES_MAX && Buffer.byteLength(subject) > SUBJECT_BYTES_MAX)
    return `the subject is longer than ${SUBJECT_BYTES_MAX} bytes`;
  return null;
}

export const resourceKey = (type: ResourceTypeName, subject: string): ResourceKey =>
  `${type}/${subject}` as ResourceKey;
export const partition = (index: number): Partition => index as Partition;
export const position = (at: bigint | number | string): Position => BigInt(at) as Position;
export const revision = (count: number | string): Revision => Number(count) as Revision;
export const epoch = (count: bigint | string): Epoch => BigInt(count) as Epoch;
/** For text that the database or the wire has already proven to be a UUID. */
export const trustedUuid = (text: string): Uuid => text as Uuid;
export const trustedCommandId = (text: string): CommandId => text as CommandId;
export const trustedKey = (text: string): ResourceKey => text as ResourceKey;
export const trustedContent = (hex: string): ContentHash => hex as ContentHash;
export const trustedEntryHash = (hex: string): EntryHash => hex as EntryHash;
export const trustedTypeName = (text: string): ResourceTypeName => text as ResourceTypeName;

function derivedUuid(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

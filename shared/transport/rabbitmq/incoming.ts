// Owns how messages become entries again: our own by their lengths, and CloudEvents as others publish them.
import { createHash } from 'node:crypto';
import type { Message } from 'amqplib';
import { HEADER, type Headers } from '../../command/entry.ts';
import type { Uuid } from '../../command/identity.ts';
import { structuredBytes } from '../binary-mode.ts';
import { blockAround, BlockDelivery, blockOf, EntryBlock } from '../entry-block.ts';
import type { Page } from '../inbox.ts';
import { BRACKET, FRAME } from './outgoing.ts';

export interface Incoming {
  /** The same whenever the same message is delivered, and another for any other. */
  readonly key: string;
  /** Its entries, at least one. */
  readonly bodies: EntryBlock;
  /** Of each entry. */
  readonly headers: Headers;
  readonly appendedMs: number;
}

type Read = Pick<Message, 'content' | 'properties'>;

/** `system`: whose messages have ids of our own making. */
export function readMessage(message: Read, about: { readonly system: Uuid; readonly nowMs: number }): Incoming {
  const all = textHeaders(message.properties.headers ?? {});
  const appended = all[FRAME.appended];
  if (appended === undefined) return readForeign(message, all, about.nowMs);
  const { [FRAME.appended]: _, [FRAME.lengths]: lengths, ...headers } = all;
  const isOurs = headers[HEADER.system] === about.system && typeof message.properties.messageId === 'string';
  return {
    key: isOurs ? String(message.properties.messageId) : contentKey(message),
    bodies: (lengths === undefined ? null : split(message.content, lengths)) ?? blockAround(message.content),
    headers: Object.freeze(headers),
    // A publisher's clock may be ahead of ours, and what it says may be no number.
    appendedMs: Math.min(about.nowMs, /^\d{1,15}$/.test(appended) ? Number(appended) : about.nowMs),
  };
}

/** Its entries but for so many of the first, which an earlier lane has settled. `first`: position of the first that is left. */
export function pageOf(
  { bodies, headers }: Incoming,
  { first, skip, appendedAt }: { readonly first: number; readonly skip: number; readonly appendedAt: Date },
): Page {
  const beside = { headers, appendedAt };
  return {
    count: bodies.count - skip,
    bytesOf: (index) => bodies.bytesOf(skip + index),
    at: (index) => new BlockDelivery(bodies, skip + index, first + index, beside),
  };
}

/** The parts of the message where they stand; null when the lengths are not those of its parts. */
function split(content: Buffer, lengths: string): EntryBlock | null {
  const texts = lengths.split(',');
  const starts = new Uint32Array(texts.length);
  const ends = new Uint32Array(texts.length);
  // One byte stands before each part, and one behind the last.
  let at = 1;
  for (let index = 0; index < texts.length; index++) {
    const length = Number(texts[index]);
    if (!Number.isInteger(length) || length < 0 || at + length >= content.length) return null;
    starts[index] = at;
    ends[index] = at + length;
    at += length + 1;
  }
  const isWhole = at === content.length && content[0] === BRACKET.open && content[at - 1] === BRACKET.close;
  return isWhole ? new EntryBlock({ bytes: content, starts, ends }) : null;
}

/** The two spellings of the binding: brokers and clients that cannot carry a colon take the underscore. */
const ATTRIBUTE_PREFIXES = ['cloudevents:', 'cloudevents_'] as const;
const BATCH = /^\s*application\/cloudevents-batch\+json\s*(;|$)/i;

/** CloudEvents structured, in a batch, or in binary mode. What is none of them is one entry as it stands: reading it says what is wrong. */
function readForeign(message: Read, ownHeaders: Headers, nowMs: number): Incoming {
  const { contentType } = message.properties;
  const isTyped = typeof contentType === 'string';
  const headers = Object.freeze(isTyped ? { ...ownHeaders, 'content-type': contentType } : { ...ownHeaders });
  return {
    key: contentKey(message),
    bodies: blockOf(
      (isTyped && BATCH.test(contentType) ? events(message.content) : null) ?? [single(message.content, headers)],
    ),
    headers,
    appendedMs: nowMs,
  };
}

function single(content: Buffer, headers: Headers): Uint8Array {
  const prefix = ATTRIBUTE_PREFIXES.find((each) => headers[`${each}specversion`] !== undefined);
  return prefix === undefined ? content : structuredBytes(content, headers, prefix);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The members of a JSON array, each printed anew: the same bytes whenever it is delivered. null: it is no such array, or empty. */
function events(content: Buffer): readonly Uint8Array[] | null {
  try {
    const parsed: unknown = JSON.parse(utf8.decode(content));
    if (!Array.isArray(parsed) || parsed.length === 0) return null;
    return parsed.map((event: unknown) => Buffer.from(JSON.stringify(event)));
  } catch {
    return null;
  }
}

/** Ids that others give need not be their own: two messages of the same content are taken for one. */
function contentKey({ content, properties }: Read): string {
  const hash = createHash('sha256').update(String(properties.contentType)).update('\n');
  for (const [name, value] of Object.entries(textHeaders(properties.headers ?? {}))) hash.update(`${name}:${value}\n`);
  return hash.update(content).digest('hex');
}

/** What the broker adds, and changes at each delivery. */
const BROKERS_OWN = /^x-(delivery-count|death|first-death-|last-death-|acquired-count)/;

/** Names in lower case, values as text. */
function textHeaders(raw: Readonly<Record<string, unknown>>): Headers {
  const headers: Record<string, string> = {};
  for (const name in raw) {
    const lower = name.toLowerCase();
    if (!BROKERS_OWN.test(lower)) headers[lower] = textOf(raw[name]);
  }
  return headers;
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  if (Buffer.isBuffer(value)) return bytesText(value);
  const seconds = timestampOf(value);
  return seconds === null ? JSON.stringify(value) : new Date(seconds * 1_000).toISOString();
}

/** How amqplib gives a value of the type timestamp. */
function timestampOf(value: unknown): number | null {
  if (typeof value !== 'object' || value === null || !('!' in value) || value['!'] !== 'timestamp') return null;
  const seconds = 'value' in value ? Number(value.value) : NaN;
  return Math.abs(seconds) <= SECONDS_MAX ? seconds : null;
}

/** What a date can say. */
const SECONDS_MAX = 8_640_000_000_000;

/** Bytes that are no UTF-8 are given as `base64:…`. */
function bytesText(value: Buffer): string {
  try {
    return utf8.decode(value);
  } catch {
    return `base64:${value.toString('base64')}`;
  }
}

// Owns how messages become entries again: our own by their lengths, and CloudEvents as others publish them.
import { createHash } from 'node:crypto';
import type { Message } from 'amqplib';
import { HEADER, type Headers } from '../../command/entry.ts';
import { position, type Uuid } from '../../command/identity.ts';
import { structuredBytes } from '../binary-mode.ts';
import type { Page } from '../inbox.ts';
import { BRACKET, FRAME } from './outgoing.ts';

export interface Incoming {
  /** The same whenever the same message is delivered, and another for any other. */
  readonly key: string;
  readonly bodies: Bodies;
  /** Of each entry. */
  readonly headers: Headers;
  readonly appendedMs: number;
}

/** One message's entries, at least one. What it holds is looked at when it is asked for: a message may wait for long. */
export interface Bodies {
  readonly count: number;
  bytesOf(index: number): number;
  at(index: number): Uint8Array;
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
    bodies: (lengths === undefined ? null : split(message.content, lengths)) ?? listed([message.content]),
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
  return {
    count: bodies.count - skip,
    bytesOf: (index) => bodies.bytesOf(skip + index),
    at: (index) => ({ position: position(first + index), bytes: bodies.at(skip + index), headers, appendedAt }),
  };
}

/** Views on the message's own bytes; null when the lengths are not those of its parts. */
function split(content: Buffer, lengths: string): Bodies | null {
  const texts = lengths.split(',');
  // One byte stands before each part, and one behind the last.
  const starts = new Uint32Array(texts.length + 1);
  let at = 1;
  for (let index = 0; index < texts.length; index++) {
    const length = Number(texts[index]);
    if (!Number.isInteger(length) || length < 0 || at + length >= content.length) return null;
    starts[index] = at;
    at += length + 1;
  }
  starts[texts.length] = at;
  const isWhole = at === content.length && content[0] === BRACKET.open && content[at - 1] === BRACKET.close;
  return isWhole ? new Parts(content, starts) : null;
}

class Parts implements Bodies {
  readonly #content: Buffer;
  readonly #starts: Uint32Array;

  /** `starts`: of each part, and of what would come behind the last. */
  constructor(content: Buffer, starts: Uint32Array) {
    this.#content = content;
    this.#starts = starts;
  }

  get count(): number {
    return this.#starts.length - 1;
  }

  bytesOf(index: number): number {
    return (this.#starts[index + 1] ?? 0) - (this.#starts[index] ?? 0) - 1;
  }

  at(index: number): Uint8Array {
    return this.#content.subarray(this.#starts[index], (this.#starts[index + 1] ?? 1) - 1);
  }
}

function listed(bodies: readonly Uint8Array[]): Bodies {
  return {
    count: bodies.length,
    bytesOf: (index) => bodies[index]?.length ?? 0,
    at: (index) => bodies[index] ?? NOTHING,
  };
}

const NOTHING = new Uint8Array(0);

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
    bodies: listed(
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

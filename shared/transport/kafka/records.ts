// Owns the turning of Kafka's records into deliveries: offsets, append times, headers as text, and CloudEvents in binary mode.
import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { Delivery, Headers } from '../../command/entry.ts';
import { position } from '../../command/identity.ts';
import { structuredBytes } from '../binary-mode.ts';
import type { Page } from '../inbox.ts';

type RawHeader = IHeaders[string];

/** Of headers that are a CloudEvent's attributes. */
const ATTRIBUTE_PREFIX = 'ce_';

/** Reads the records of one partition. Headers and times seldom change from one record to the next: what is the same is read once, and shared. */
export class RecordReader {
  #raw: IHeaders = {};
  #headers: Headers = Object.freeze({});
  #appendedAt = new Date(0);

  delivery(message: KafkaMessage): Delivery {
    return this.page([message]).at(0);
  }

  /** Its bytes are those of what was fetched, when they are most of it: a part would keep the whole in memory, and is copied. */
  page(messages: readonly KafkaMessage[]): RecordPage {
    const page = new RecordPage(messages.length);
    const bytes = bytesWith(messages);
    const copies = bytes.own * 2 >= bytes.fetched ? null : new Copies(bytes.own);
    for (const [index, message] of messages.entries()) {
      const value = message.value ?? EMPTY;
      const headers = this.#headersOf(message.headers ?? {});
      const own = copies === null ? value : copies.of(value);
      const at = { offset: Number(message.offset), headers, appendedAt: this.#appendedAtOf(message) };
      page.set(index, structuredBytes(own, headers, ATTRIBUTE_PREFIX), at);
    }
    return page;
  }

  /** A broker's clock may be set back; the append time of a partition never goes back. */
  #appendedAtOf(message: KafkaMessage): Date {
    const appendedMs = Number(message.timestamp);
    if (appendedMs > this.#appendedAt.getTime()) this.#appendedAt = new Date(appendedMs);
    return this.#appendedAt;
  }

  #headersOf(raw: IHeaders): Headers {
    if (!sameHeaders(raw, this.#raw)) {
      this.#raw = apart(raw);
      this.#headers = readHeaders(raw);
    }
    return this.#headers;
  }
}

/** Bytes of the values, and of all that was fetched with them: a broker's partitions come in one buffer, and a page may outlive its neighbours for long. */
function bytesWith(messages: readonly KafkaMessage[]): { readonly own: number; readonly fetched: number } {
  let own = 0;
  let fetched = 0;
  let last: ArrayBufferLike | null = null;
  for (const { value } of messages) {
    if (value === null) continue;
    own += value.length;
    if (value.buffer !== last) fetched += value.buffer.byteLength;
    last = value.buffer;
  }
  return { own, fetched };
}

/** The values of one page, one behind the other in memory of their own. */
class Copies {
  readonly #block: Buffer;
  #at = 0;

  constructor(bytes: number) {
    this.#block = Buffer.allocUnsafeSlow(bytes);
  }

  of(value: Buffer): Buffer {
    this.#block.set(value, this.#at);
    return this.#block.subarray(this.#at, (this.#at += value.length));
  }
}

/**
 * Records that wait to be handed out, as a few flat arrays: objects of their own would outlive the collector's first generation, and each
 * would be copied twice on its way to the second.
 */
export class RecordPage implements Page {
  readonly count: number;
  readonly #sources: ArrayBufferLike[] = [];
  readonly #starts: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #offsets: Float64Array;
  /** Of each record; the same object where they are the same. */
  readonly headers: Headers[] = [];
  readonly #times: Date[] = [];

  constructor(count: number) {
    this.count = count;
    this.#starts = new Uint32Array(count);
    this.#lengths = new Uint32Array(count);
    this.#offsets = new Float64Array(count);
  }

  set(
    index: number,
    bytes: Uint8Array,
    at: { readonly offset: number; readonly headers: Headers; readonly appendedAt: Date },
  ): void {
    this.#sources[index] = bytes.buffer;
    this.#starts[index] = bytes.byteOffset;
    this.#lengths[index] = bytes.length;
    this.#offsets[index] = at.offset;
    this.headers[index] = at.headers;
    this.#times[index] = at.appendedAt;
  }

  bytesOf(index: number): number {
    return this.#lengths[index] ?? 0;
  }

  at(index: number): Delivery {
    return {
      position: position(this.#offsets[index] ?? 0),
      bytes: Buffer.from(this.#sources[index] ?? NOTHING, this.#starts[index], this.#lengths[index]),
      headers: this.headers[index] ?? NO_HEADERS,
      appendedAt: this.#times[index] ?? new Date(0),
    };
  }
}

const NO_HEADERS: Headers = Object.freeze({});
const NOTHING = new ArrayBuffer(0);

/** A header's bytes are a part of all that was fetched with it, and would keep it in memory. */
function apart(raw: IHeaders): IHeaders {
  const copy = <T>(value: T): T | Buffer => (Buffer.isBuffer(value) ? Buffer.from(value) : value);
  return Object.fromEntries(
    Object.entries(raw).map(([name, value]) => [name, Array.isArray(value) ? value.map(copy) : copy(value)]),
  );
}

const EMPTY = Buffer.alloc(0);

/** Names in lower case. Of a name that stands there several times, the last value counts. */
function readHeaders(raw: IHeaders): Headers {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(raw)) headers[name.toLowerCase()] = textOf(lastOf(value));
  return Object.freeze(headers);
}

function lastOf(value: RawHeader): Buffer | string | undefined {
  return Array.isArray(value) ? value.at(-1) : value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes that are no UTF-8 are given as `base64:…`. */
function textOf(value: Buffer | string | undefined): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  try {
    return utf8.decode(value);
  } catch {
    return `base64:${value.toString('base64')}`;
  }
}

function sameHeaders(a: IHeaders, b: IHeaders): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => sameHeader(a[name], b[name]));
}

function sameHeader(one: RawHeader, other: RawHeader): boolean {
  return one === other || (Buffer.isBuffer(one) && Buffer.isBuffer(other) && sameBytes(one, other));
}

/** A call into the runtime costs more than the few bytes of a header. */
function sameBytes(one: Buffer, other: Buffer): boolean {
  if (one.length > SHORT_MAX || one.length !== other.length) return one.equals(other);
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}

const SHORT_MAX = 64;

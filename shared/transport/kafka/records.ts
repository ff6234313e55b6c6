// Owns the turning of Kafka's records into deliveries: offsets, append times, headers as text, and CloudEvents in binary mode.
import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { Delivery, Headers } from '../../command/entry.ts';
import { isBinaryMode, structuredBytes } from '../binary-mode.ts';
import { BlockDelivery, blockOf, type Beside, type EntryBlock } from '../entry-block.ts';
import type { Page } from '../inbox.ts';

type RawHeader = IHeaders[string];
type RawEntry = readonly [name: string, value: RawHeader];

/** Of headers that are a CloudEvent's attributes. */
const ATTRIBUTE_PREFIX = 'ce_';

/** Reads the records of one partition. Headers and times seldom change from one record to the next: what is the same is read once, and shared. */
export class RecordReader {
  #raw: readonly RawEntry[] = [];
  #headers: Headers = Object.freeze({});
  #isBinary = false;
  #appendedAt = new Date(0);
  #beside: Beside = { headers: this.#headers, appendedAt: this.#appendedAt };

  delivery(message: KafkaMessage): Delivery {
    return this.page([message]).at(0);
  }

  /** In memory of its own: a broker's partitions come in one buffer, and a page may outlive its neighbours for long. */
  page(messages: readonly KafkaMessage[]): RecordPage {
    const offsets = new Float64Array(messages.length);
    const besides: Beside[] = [];
    const values: Uint8Array[] = [];
    for (const message of messages) {
      const beside = this.#besideOf(message);
      offsets[besides.length] = Number(message.offset);
      besides.push(beside);
      const value = message.value ?? EMPTY;
      values.push(this.#isBinary ? structuredBytes(value, beside.headers, ATTRIBUTE_PREFIX) : value);
    }
    return new RecordPage(blockOf(values), offsets, besides);
  }

  #besideOf(message: KafkaMessage): Beside {
    const headers = this.#headersOf(message.headers ?? {});
    const appendedAt = this.#appendedAtOf(message);
    if (headers !== this.#beside.headers || appendedAt !== this.#beside.appendedAt)
      this.#beside = { headers, appendedAt };
    return this.#beside;
  }

  /** A broker's clock may be set back; the append time of a partition never goes back. */
  #appendedAtOf(message: KafkaMessage): Date {
    const appendedMs = Number(message.timestamp);
    if (appendedMs > this.#appendedAt.getTime()) this.#appendedAt = new Date(appendedMs);
    return this.#appendedAt;
  }

  #headersOf(raw: IHeaders): Headers {
    if (!sameHeaders(raw, this.#raw)) {
      this.#raw = listed(raw);
      this.#headers = readHeaders(raw);
      this.#isBinary = isBinaryMode(this.#headers, ATTRIBUTE_PREFIX);
    }
    return this.#headers;
  }
}

/** Records that wait to be handed out. */
export class RecordPage implements Page {
  readonly #block: EntryBlock;
  readonly #offsets: Float64Array;
  readonly #besides: readonly Beside[];

  constructor(block: EntryBlock, offsets: Float64Array, besides: readonly Beside[]) {
    this.#block = block;
    this.#offsets = offsets;
    this.#besides = besides;
  }

  get count(): number {
    return this.#block.count;
  }

  bytesOf(index: number): number {
    return this.#block.bytesOf(index);
  }

  /** Of each record; the same object where they are the same. */
  get headers(): readonly Headers[] {
    return this.#besides.map((beside) => beside.headers);
  }

  at(index: number): Delivery {
    return new BlockDelivery(this.#block, index, this.#offsets[index] ?? 0, this.#besides[index] ?? NOTHING_BESIDE);
  }
}

const NOTHING_BESIDE: Beside = { headers: Object.freeze({}), appendedAt: new Date(0) };

/** A header's bytes are a part of all that was fetched with it, and would keep it in memory. */
function listed(raw: IHeaders): readonly RawEntry[] {
  const copy = <T>(value: T): T | Buffer => (Buffer.isBuffer(value) ? Buffer.from(value) : value);
  return Object.entries(raw).map(([name, value]) => [name, Array.isArray(value) ? value.map(copy) : copy(value)]);
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

/** In the same order, too: of names that differ in case alone the last one counts. A list made of each record's would only be thrown away. */
function sameHeaders(raw: IHeaders, known: readonly RawEntry[]): boolean {
  let at = 0;
  for (const name in raw) {
    const before = known[at++];
    if (before === undefined || before[0] !== name || !sameHeader(raw[name], before[1])) return false;
  }
  return at === known.length;
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

// Owns the turning of Kafka's records into deliveries: offsets, append times, headers as text, and CloudEvents in binary mode.
import type { IHeaders, KafkaMessage } from 'kafkajs';
import type { Delivery, Headers } from '../../command/entry.ts';
import type { Uuid } from '../../command/identity.ts';
import { isBinaryMode, structuredBytes } from '../binary-mode.ts';
import { BlockDelivery, blockOf, EntryBlock, type Beside, type BlockParts } from '../entry-block.ts';
import type { Page } from '../inbox.ts';
import { isForeign } from '../resume-check.ts';

type RawHeader = IHeaders[string];
type RawEntry = readonly [name: string, value: RawHeader];

/** Of headers that are a CloudEvent's attributes. */
const ATTRIBUTE_PREFIX = 'ce_';

/** Reads the records of one partition. Headers and times seldom change from one record to the next: what is the same is read once, and shared. */
export class RecordReader {
  #raw: readonly RawEntry[] = [];
  #headers: Headers = Object.freeze({});
  #isBinary = false;
  #beside: Beside = { headers: this.#headers, appendedAt: new Date(0) };

  /** In memory of its own: a broker's partitions come in one buffer, and a page may outlive its neighbours for long. */
  page(messages: readonly KafkaMessage[]): RecordPage {
    const offsets = new Float64Array(messages.length);
    const besideAt = new Uint32Array(messages.length);
    const besides: Beside[] = [];
    const values: Uint8Array[] = [];
    for (const message of messages) {
      const beside = this.#besideOf(message);
      if (beside !== besides.at(-1)) besides.push(beside);
      offsets[values.length] = Number(message.offset);
      besideAt[values.length] = besides.length - 1;
      const value = message.value ?? EMPTY;
      values.push(this.#isBinary ? structuredBytes(value, beside.headers, ATTRIBUTE_PREFIX) : value);
    }
    return new RecordPage({ block: blockOf(values).parts, offsets, besides, besideAt });
  }

  #besideOf(message: KafkaMessage): Beside {
    const headers = this.#headersOf(message.headers ?? {});
    const appendedMs = Number(message.timestamp);
    const { headers: before, appendedAt } = this.#beside;
    if (headers !== before || appendedMs !== appendedAt.getTime())
      this.#beside = { headers, appendedAt: new Date(appendedMs) };
    return this.#beside;
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

/** What a page is made of: plain enough to go from one thread to another. */
export interface PageParts {
  readonly block: BlockParts;
  /** Of each record. */
  readonly offsets: Float64Array;
  /** Whenever it is another than the record's before; and which of them is each record's. */
  readonly besides: readonly Beside[];
  readonly besideAt: Uint32Array;
}

/** All that is large about a page, for whoever hands it over rather than copies it. */
export function memoryOf({ block, offsets, besideAt }: PageParts): ArrayBuffer[] {
  // Made by RecordReader, and shared with nobody.
  return [block.bytes, block.starts, block.ends, offsets, besideAt].map(({ buffer }) => buffer as ArrayBuffer);
}

/** Records that wait to be handed out. */
export class RecordPage implements Page {
  readonly parts: PageParts;
  readonly #block: EntryBlock;

  constructor(parts: PageParts) {
    this.parts = parts;
    this.#block = new EntryBlock(parts.block);
  }

  get count(): number {
    return this.#block.count;
  }

  bytesOf(index: number): number {
    return this.#block.bytesOf(index);
  }

  /** The first `count` of them, in memory of their own. */
  first(count: number): RecordPage {
    if (count >= this.count) return this;
    const { block, offsets, besides, besideAt } = this.parts;
    const starts = block.starts.slice(0, count);
    const ends = block.ends.slice(0, count);
    // They stand one behind the other; a Buffer's own slice is no copy.
    const bytes = new Uint8Array(block.bytes.subarray(0, ends.at(-1) ?? 0));
    return new RecordPage({
      block: { bytes, starts, ends },
      offsets: offsets.slice(0, count),
      besides: besides.slice(0, (besideAt[count - 1] ?? -1) + 1),
      besideAt: besideAt.slice(0, count),
    });
  }

  /** A broker's clock may be set back; the append time of a partition never goes back, not behind that of the entry before these either. */
  appendedFrom(before: Date): RecordPage {
    let floor = before;
    const besides = this.parts.besides.map((beside) => {
      if (beside.appendedAt < floor) return { headers: beside.headers, appendedAt: floor };
      floor = beside.appendedAt;
      return beside;
    });
    return new RecordPage({ ...this.parts, besides });
  }

  /** How many, from the first on, are `system`'s: up to the first that another one published. */
  countOwn(system: Uuid): number {
    const foreign = this.parts.besides.findIndex(({ headers }) => isForeign(headers, system));
    return foreign === -1 ? this.count : this.parts.besideAt.indexOf(foreign);
  }

  at(index: number): Delivery {
    const { offsets, besides, besideAt } = this.parts;
    return new BlockDelivery(this.#block, index, offsets[index] ?? 0, besides[besideAt[index] ?? 0] ?? NOTHING_BESIDE);
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

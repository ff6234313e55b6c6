// Owns how entries become messages: as many as may go together in one, their bytes untouched, and told apart by their lengths. Pure.
import type { Options } from 'amqplib';
import type { Headers } from '../../command/entry.ts';
import type { Routed } from '../transport.ts';

/** Headers of our own messages that are not headers of their entries. */
export const FRAME = {
  /** Milliseconds since 1970 by the publisher's clock. */
  appended: 'onelane-appended',
  /** Of each entry's bytes, in order, when there are several: `120,97`. */
  lengths: 'onelane-lengths',
} as const;

export const SINGLE_TYPE = 'application/cloudevents+json; charset=utf-8';
export const BATCH_TYPE = 'application/cloudevents-batch+json; charset=utf-8';

/** What a queue takes or refuses as a whole: of a partition's entries only a prefix is ever stored. */
export const MESSAGE_ENTRIES_MAX = 1_000;
/**
 * A thousand usual commands, and as much as the largest may have by itself. A consumer asks for several messages without knowing how large
 * they are.
 */
export const MESSAGE_BYTES_MAX = 256 * 1024;
/** Of the bracket that opens a message; each entry brings what stands behind it. */
const OPENING_BYTES = 1;
/** They travel in one frame, which has 128 KiB at most, beside the lengths. */
const HEADERS_BYTES_MAX = 48 * 1024;
const HEADER_NAME_BYTES_MAX = 255;

/** Entries that go in one message: they have the same headers. */
export type Cut =
  | { readonly kind: 'message'; readonly entries: readonly Routed[] }
  | { readonly kind: 'unsendable'; readonly entries: readonly Routed[]; readonly reason: string };

/** One partition's entries, in order, as the fewest messages that may hold them. */
export function cutMessages(entries: readonly Routed[]): readonly Cut[] {
  const cuts: Cut[] = [];
  let current: Routed[] = [];
  let bytes = OPENING_BYTES;
  const flush = () => {
    const [first] = current;
    if (first === undefined) return;
    const reason = headersFault(first.headers);
    cuts.push(
      reason === null ? { kind: 'message', entries: current } : { kind: 'unsendable', entries: current, reason },
    );
    current = [];
    bytes = OPENING_BYTES;
  };
  for (const entry of entries) {
    const size = entry.bytes.length + 1;
    const [first] = current;
    const fits =
      current.length < MESSAGE_ENTRIES_MAX &&
      bytes + size <= MESSAGE_BYTES_MAX &&
      (first === undefined || sameHeaders(first.headers, entry.headers));
    if (!fits) flush();
    current.push(entry);
    bytes += size;
  }
  flush();
  return cuts;
}

export interface Outgoing {
  readonly content: Buffer;
  readonly options: Options.Publish;
}

/** A JSON array of events, as every reader of batches knows it, whose members are the very bytes of the entries. */
export function encodeMessage(
  entries: readonly Routed[],
  about: { readonly messageId: string; readonly appendedAt: Date },
): Outgoing {
  const [first] = entries;
  const isOne = entries.length === 1 && first !== undefined;
  return {
    content: isOne ? asBuffer(first.bytes) : joined(entries),
    options: {
      mandatory: true,
      persistent: true,
      messageId: about.messageId,
      contentType: isOne ? SINGLE_TYPE : BATCH_TYPE,
      headers: {
        ...first?.headers,
        [FRAME.appended]: String(about.appendedAt.getTime()),
        ...(isOne ? {} : { [FRAME.lengths]: entries.map(({ bytes }) => bytes.length).join(',') }),
      },
    },
  };
}

export const BRACKET = { open: 0x5b, close: 0x5d, comma: 0x2c } as const;

function joined(entries: readonly Routed[]): Buffer {
  const size = entries.reduce((sum, { bytes }) => sum + bytes.length + 1, 1);
  const content = Buffer.allocUnsafe(size);
  content[0] = BRACKET.open;
  let at = 1;
  for (const { bytes } of entries) {
    content.set(bytes, at);
    at += bytes.length;
    content[at++] = BRACKET.comma;
  }
  content[size - 1] = BRACKET.close;
  return content;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Our own publishers give the same record for every entry. */
function sameHeaders(one: Headers, other: Headers): boolean {
  if (one === other) return true;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

function headersFault(headers: Headers): string | null {
  let size = 0;
  for (const [name, value] of Object.entries(headers)) {
    const nameBytes = Buffer.byteLength(name);
    if (nameBytes > HEADER_NAME_BYTES_MAX) return `a header's name has more than ${HEADER_NAME_BYTES_MAX} bytes`;
    size += nameBytes + Buffer.byteLength(value);
  }
  return size > HEADERS_BYTES_MAX ? `the entry's headers have more than ${HEADERS_BYTES_MAX} bytes` : null;
}

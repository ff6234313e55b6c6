// Owns the frames of a segment: many entries in one value, headers that repeat written once. Pure.
import type { Delivery, Headers } from '../../command/entry.ts';
import { position } from '../../command/identity.ts';
import type { Routed } from '../transport.ts';

// u8 format | u32 length of headers | headers: JSON array of distinct header records | per entry: u16 which headers, u32 length |
// the entries' bytes, one after the other. Numbers are big-endian; how many entries there are stands in the row.
const FORMAT = 1;
const PREFIX_BYTES = 5;
const FRAME_BYTES = 6;

/** A segment has at most so many entries, and at most so many bytes unless it has one entry only. */
export const SEGMENT_ENTRIES_MAX = 1_000;
export const SEGMENT_BYTES_MAX = 256 * 1024;

export type Framed = Pick<Routed, 'bytes' | 'headers'>;

export function encodeSegment(entries: readonly Framed[]): Buffer {
  const which = new Map<string, number>();
  let before: { readonly headers: Headers; readonly index: number } | null = null;
  const indexes = entries.map(({ headers }) => {
    // Our own publishers share one record among their entries.
    if (before?.headers !== headers) before = { headers, index: indexOf(which, JSON.stringify(headers)) };
    return before.index;
  });
  const headers = Buffer.from(`[${[...which.keys()].join(',')}]`);
  const bodyAt = PREFIX_BYTES + headers.length + FRAME_BYTES * entries.length;
  const segment = Buffer.allocUnsafe(entries.reduce((size, each) => size + each.bytes.length, bodyAt));
  segment.writeUInt8(FORMAT, 0);
  segment.writeUInt32BE(headers.length, 1);
  segment.set(headers, PREFIX_BYTES);
  let frame = PREFIX_BYTES + headers.length;
  let body = bodyAt;
  entries.forEach(({ bytes }, index) => {
    frame = segment.writeUInt16BE(indexes[index] ?? 0, frame);
    frame = segment.writeUInt32BE(bytes.length, frame);
    segment.set(bytes, body);
    body += bytes.length;
  });
  return segment;
}

function indexOf(which: Map<string, number>, headers: string): number {
  const known = which.get(headers);
  if (known !== undefined) return known;
  which.set(headers, which.size);
  return which.size - 1;
}

export interface StoredSegment {
  readonly lastPosition: number;
  readonly entries: number;
  readonly appendedAt: Date;
  readonly frames: Buffer;
}

/** The deliveries of a segment from position `from` on; their bytes are views into its frames. */
export function decodeSegment(segment: StoredSegment, from: number): readonly Delivery[] {
  const { frames, entries, appendedAt } = segment;
  if (frames.readUInt8(0) !== FORMAT)
    throw new RangeError(`a log segment has the unknown format ${frames.readUInt8(0)}`);
  const headersLength = frames.readUInt32BE(1);
  const headers = decodeHeaders(frames.toString('utf8', PREFIX_BYTES, PREFIX_BYTES + headersLength));
  const first = segment.lastPosition - entries + 1;
  const deliveries: Delivery[] = [];
  let frame = PREFIX_BYTES + headersLength;
  let body = frame + FRAME_BYTES * entries;
  for (let at = first; at <= segment.lastPosition; at++, frame += FRAME_BYTES) {
    const end = body + frames.readUInt32BE(frame + 2);
    if (at >= from) {
      const its = headers[frames.readUInt16BE(frame)] ?? NO_HEADERS;
      deliveries.push({ position: position(at), bytes: frames.subarray(body, end), headers: its, appendedAt });
    }
    body = end;
  }
  return deliveries;
}

const NO_HEADERS: Headers = Object.freeze({});

function decodeHeaders(json: string): readonly Headers[] {
  // Written by encodeSegment, from Headers.
  return JSON.parse(json) as readonly Headers[];
}

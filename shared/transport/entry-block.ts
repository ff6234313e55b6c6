// Owns entries whose bytes lie in one block: what is handed out of it is read where it stands, and the text of all is read at once.
import { isAscii } from 'node:buffer';
import type { Delivery, Headers } from '../command/entry.ts';
import { position, type Position } from '../command/identity.ts';

/** Characters stand elsewhere than their bytes. */
const NOT_ASCII = '\u0080';

/** Where several entries stand. `starts`, `ends`: of each, in the order in which they are handed out. */
export interface BlockParts {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** Bytes of several entries. Objects of their own would outlive the collector's first generation while they wait. */
export class EntryBlock {
  readonly parts: BlockParts;
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  #text: string | null = null;

  constructor(parts: BlockParts) {
    const { bytes, starts, ends } = parts;
    this.parts = parts;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#starts = starts;
    this.#ends = ends;
  }

  get count(): number {
    return this.#starts.length;
  }

  bytesOf(index: number): number {
    return (this.#ends[index] ?? 0) - (this.#starts[index] ?? 0);
  }

  at(index: number): Uint8Array {
    return this.#bytes.subarray(this.#starts[index] ?? 0, this.#ends[index] ?? 0);
  }

  /** null: something in the block is not ASCII, and the bytes are to be read. */
  textAt(index: number): string | null {
    const text = (this.#text ??= isAscii(this.#bytes) ? this.#bytes.toString('latin1') : NOT_ASCII);
    return text === NOT_ASCII ? null : text.slice(this.#starts[index] ?? 0, this.#ends[index] ?? 0);
  }
}

/** One entry, where its bytes stand. */
export function blockAround(entry: Buffer): EntryBlock {
  return new EntryBlock({ bytes: entry, starts: Uint32Array.of(0), ends: Uint32Array.of(entry.length) });
}

/** Several, one behind the other in memory of their own. */
export function blockOf(entries: readonly Uint8Array[]): EntryBlock {
  const starts = new Uint32Array(entries.length);
  const ends = new Uint32Array(entries.length);
  let at = 0;
  for (let index = 0; index < entries.length; index++) {
    starts[index] = at;
    at += entries[index]?.length ?? 0;
    ends[index] = at;
  }
  const bytes = Buffer.allocUnsafeSlow(at);
  for (let index = 0; index < entries.length; index++) bytes.set(entries[index] ?? [], starts[index]);
  return new EntryBlock({ bytes, starts, ends });
}

/** What entries of a block share, often all of them. */
export interface Beside {
  readonly headers: Headers;
  readonly appendedAt: Date;
}

/** One entry as it is handed out: a few words that say where it stands. */
export class BlockDelivery implements Delivery {
  readonly #block: EntryBlock;
  readonly #index: number;
  readonly #position: number;
  readonly #beside: Beside;

  constructor(block: EntryBlock, index: number, at: number, beside: Beside) {
    this.#block = block;
    this.#index = index;
    this.#position = at;
    this.#beside = beside;
  }

  get position(): Position {
    return position(this.#position);
  }

  get bytes(): Uint8Array {
    return this.#block.at(this.#index);
  }

  get text(): string | null {
    return this.#block.textAt(this.#index);
  }

  get headers(): Headers {
    return this.#beside.headers;
  }

  get appendedAt(): Date {
    return this.#beside.appendedAt;
  }
}

// Owns bytes that arrive in pieces of any size: kept in few slabs, so that a body of tiny pieces takes no more than its size.

const SLAB_BYTES = 16 * 1024;
/** A buffer costs about as much as this many small pieces hold. */
const PIECES_MAX = 256;

export class Gathered {
  /** What is complete; those that `cut` has passed are empty. */
  private slabs: Buffer[] = [];
  /** The first slab that is not let go, and where it begins. */
  private first = 0;
  private offset = 0;
  private pieces: Buffer[] = [];
  private pieceBytes = 0;
  private bytes = 0;

  get size(): number {
    return this.bytes;
  }

  add(piece: Buffer): void {
    this.bytes += piece.length;
    this.pieceBytes += piece.length;
    this.pieces.push(piece);
    if (this.pieceBytes >= SLAB_BYTES) this.finish();
    else if (this.pieces.length >= PIECES_MAX) this.pieces = [joined(this.pieces)];
  }

  /** The slabs from the given number on; with `finish`, all bytes are in them. */
  slabsFrom(number: number): readonly Buffer[] {
    return this.slabs.slice(number);
  }

  finish(): void {
    if (this.pieceBytes > 0) this.slabs.push(joined(this.pieces));
    this.pieces = [];
    this.pieceBytes = 0;
  }

  whole(): Buffer {
    return joined([...this.slabs, ...this.pieces]);
  }

  clear(): void {
    this.slabs = [];
    this.pieces = [];
    this.first = this.offset = this.pieceBytes = this.bytes = 0;
  }

  /** After `finish`. What lies before `from` is let go: cuts are made in their order. */
  cut(from: number, to: number): Buffer {
    for (let slab = this.slabs[this.first]; slab !== undefined; slab = this.slabs[this.first]) {
      if (this.offset + slab.length > from) break;
      this.offset += slab.length;
      this.slabs[this.first] = EMPTY;
      this.first += 1;
    }
    const parts: Buffer[] = [];
    let start = this.offset;
    for (let at = this.first; start < to && at < this.slabs.length; at++) {
      const slab = this.slabs[at] ?? EMPTY;
      parts.push(slab.subarray(Math.max(0, from - start), to - start));
      start += slab.length;
    }
    return joined(parts);
  }
}

const EMPTY = Buffer.alloc(0);

function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}

// Owns proving that bytes are UTF-8 as they arrive, wherever their pieces end.
import { isUtf8 } from 'node:buffer';

export class Utf8Check {
  /** The beginning of a character whose rest has not come yet. */
  private rest: Buffer = Buffer.alloc(0);
  private isBroken = false;

  push(piece: Buffer): void {
    const bytes = this.rest.length === 0 ? piece : Buffer.concat([this.rest, piece]);
    const whole = wholeCharacters(bytes);
    this.isBroken ||= !isUtf8(bytes.subarray(0, whole));
    this.rest = Buffer.from(bytes.subarray(whole));
  }

  /** When all has come. */
  isUtf8(): boolean {
    return !this.isBroken && this.rest.length === 0;
  }
}

const LONGEST = 4;

/** Up to where characters are whole; what cannot be a character at all is left to isUtf8. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back < LONGEST && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

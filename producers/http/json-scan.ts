// Owns proving that bytes are JSON as they arrive, while nothing is built of it: is it one value or a list, and where do the list's elements stand?
import { ACTION, FIRST_ACTION, isComplete, nextOf, STATE } from './json-states.ts';

/** What stands between two marks of the outer list; offsets are of the whole. */
export interface Element {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** `weight`: marks and quotes, which nothing can leave out on the wire; as many things at most a parser has to build. */
export type Scanned =
  | { readonly kind: 'list'; readonly weight: number; readonly count: number; readonly elements: readonly Element[] }
  | { readonly kind: 'one'; readonly weight: number }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'broken'; readonly detail: string };

const BYTE_ORDER_MARK: readonly number[] = [0xef, 0xbb, 0xbf];
const [IN_LIST, IN_OBJECT] = [0, 1];
const QUOTES = 2;

/** Takes what JSON.parse takes, in time linear in the bytes; keeps a bit for each level that is open. */
export class JsonScan {
  private readonly elementsMax: number;
  private state: number = STATE.value;
  private afterString: number = STATE.afterValue;
  private levels = new Uint8Array(64);
  private depth = 0;
  private offset = 0;
  private outer: 'list' | 'one' | null = null;
  private weight = 0;
  private from = 0;
  private weightBefore = 0;
  private count = 0;
  private readonly elements: Element[] = [];
  private brokenAt: number | null = null;

  /** Elements past `elementsMax` are only counted. */
  constructor(elementsMax: number) {
    this.elementsMax = elementsMax;
  }

  /** A byte order mark stands whole in the first piece. */
  push(piece: Uint8Array): void {
    let { state } = this;
    for (let at = this.offset === 0 ? startOf(piece) : 0; at < piece.length && this.brokenAt === null; at++) {
      const next = nextOf(state, piece[at] ?? 0);
      this.state = state;
      state = next < FIRST_ACTION ? next : this.act(next, this.offset + at);
    }
    this.state = state;
    this.offset += piece.length;
  }

  /** So far. */
  weighs(): number {
    return this.weight;
  }

  end(): Scanned {
    if (this.brokenAt !== null) return { kind: 'broken', detail: `It is no JSON from byte ${this.brokenAt + 1} on.` };
    if (this.state === STATE.value && this.depth === 0) return { kind: 'nothing' };
    if (this.depth > 0 || !isComplete(this.state)) {
      return { kind: 'broken', detail: `The JSON does not end: it has ${this.offset} bytes.` };
    }
    const { weight, count, elements } = this;
    return this.outer === 'list' ? { kind: 'list', weight, count, elements } : { kind: 'one', weight };
  }

  private act(action: number, at: number): number {
    switch (action) {
      case ACTION.openList:
        return this.open(IN_LIST, at);
      case ACTION.openObject:
        return this.open(IN_OBJECT, at);
      case ACTION.closeList:
        return this.close(IN_LIST, at);
      case ACTION.closeObject:
        return this.close(IN_OBJECT, at);
      case ACTION.part:
        return this.part(at);
      case ACTION.assign:
        this.weight += 1;
        return STATE.value;
      case ACTION.beginText:
        return this.begin(STATE.afterValue);
      case ACTION.beginName:
        return this.begin(STATE.colon);
      case ACTION.endString:
        return this.afterString;
      default:
        return this.refuse(at);
    }
  }

  private begin(afterString: number): number {
    this.weight += QUOTES;
    this.afterString = afterString;
    return STATE.string;
  }

  private open(level: number, at: number): number {
    this.weight += 1;
    this.remember(level);
    this.depth += 1;
    if (this.depth === 1) {
      this.outer = level === IN_LIST ? 'list' : 'one';
      if (level === IN_LIST) this.beginElement(at + 1);
    }
    return level === IN_LIST ? STATE.firstItem : STATE.firstName;
  }

  private close(level: number, at: number): number {
    if (this.depth === 0 || this.innermost() !== level) return this.refuse(at);
    this.depth -= 1;
    // In `[]` there is no element.
    if (this.depth === 0 && this.outer === 'list' && this.state !== STATE.firstItem) this.endElement(at);
    this.weight += 1;
    return STATE.afterValue;
  }

  private part(at: number): number {
    if (this.depth === 0) return this.refuse(at);
    const isOuter = this.depth === 1 && this.outer === 'list';
    if (isOuter) this.endElement(at);
    this.weight += 1;
    if (isOuter) this.beginElement(at + 1);
    return this.innermost() === IN_OBJECT ? STATE.name : STATE.value;
  }

  private remember(level: number): void {
    const at = this.depth >> 3;
    if (at === this.levels.length) this.levels = doubled(this.levels);
    const bit = 1 << (this.depth & 7);
    const others = (this.levels[at] ?? 0) & ~bit;
    this.levels[at] = level === IN_OBJECT ? others | bit : others;
  }

  private innermost(): number {
    const depth = this.depth - 1;
    return ((this.levels[depth >> 3] ?? 0) >> (depth & 7)) & 1;
  }

  private beginElement(from: number): void {
    this.from = from;
    this.weightBefore = this.weight;
  }

  private endElement(to: number): void {
    this.count += 1;
    if (this.elements.length >= this.elementsMax) return;
    this.elements.push({ from: this.from, to, weight: this.weight - this.weightBefore });
  }

  private refuse(at: number): number {
    this.brokenAt = at;
    return ACTION.refuse;
  }
}

function startOf(piece: Uint8Array): number {
  return BYTE_ORDER_MARK.every((byte, at) => piece[at] === byte) ? BYTE_ORDER_MARK.length : 0;
}

function doubled(levels: Uint8Array): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(levels.length * 2);
  more.set(levels);
  return more;
}

// Owns which messages a lane has in hand: what each position stands for, what may be acked, and what a redelivery is. Pure.

/** Of one message. Positions are the lane's own; `first` is that of its first entry, whether or not that one is handed out. */
interface Part {
  readonly key: string;
  readonly first: number;
  readonly end: number;
  /** How the broker calls it on the channel that stands; null: not delivered there. */
  tag: number | null;
  isAcked: boolean;
}

export type Received =
  /** `skip`: so many of its entries, from the first on, were settled by an earlier lane. */
  | { readonly kind: 'new'; readonly first: number; readonly skip: number }
  /** Its entries were handed out, or wait to be. */
  | { readonly kind: 'again' }
  /** Not what the broker must deliver next if nobody else has read meanwhile. */
  | { readonly kind: 'torn' };

export interface SettledHead {
  readonly key: string;
  readonly settled: number;
}

/**
 * Of a channel that ended the broker delivers again everything that was not acked, in its order, before anything new: the end of what
 * this window holds. Acks that got lost on the way are among it, and never more of them than the channel might have unacked.
 */
export class DeliveryWindow {
  readonly #parts: Part[] = [];
  /** How many acked parts are kept, as their ack may not have arrived. */
  readonly #remembered: number;
  #next: number;
  #settled: number;
  #stamped: number;
  /** Index of the part that must be delivered again next; null: none; -1: whichever comes first. */
  #due: number | null = null;
  /** Index of the first part that is not settled as a whole, and of the first that was not acked. */
  #open = 0;
  #unackedFrom = 0;
  #earlier: SettledHead | null;

  /** `next`: position of the first entry. `earlier`: what an earlier lane had settled last. `remembered`: of any channel's unacked messages. */
  constructor(given: { readonly next: number; readonly earlier: SettledHead | null; readonly remembered: number }) {
    this.#next = given.next;
    this.#settled = given.next;
    // What an earlier lane has settled is stamped.
    this.#stamped = given.next;
    this.#earlier = given.earlier;
    this.#remembered = given.remembered;
  }

  /** Entries that were delivered and not settled. */
  get unsettled(): number {
    return this.#next - this.#settled;
  }

  /** Messages that hold an entry at this position or behind it. */
  countFrom(position: number): number {
    let count = 0;
    for (let at = this.#parts.length - 1; at >= 0 && (this.#parts[at]?.end ?? 0) > position; at--) count++;
    return count;
  }

  /** Messages whose ack has not been sent: of the channel that stands, or of one that ended. */
  get hasUnacked(): boolean {
    return this.#unackedFrom < this.#parts.length;
  }

  get settledTo(): number {
    return this.#settled;
  }

  /** Whether this can be nothing but a redelivery. */
  isDue(key: string, entries: number): boolean {
    if (this.#due !== -1) return this.#due !== null;
    return this.hasUnacked || this.#parts.some((part) => isSame(part, key, entries));
  }

  received(key: string, entries: number, tag: number): Received {
    if (this.#due !== null) {
      const again = this.#redelivered(key, entries, tag);
      if (again !== null) return again;
    }
    const skip = this.#earlier?.key === key ? Math.min(this.#earlier.settled, entries) : 0;
    if (skip > 0) this.#earlier = null;
    const first = this.#next - skip;
    this.#parts.push({ key, first, end: first + entries, tag, isAcked: false });
    this.#next = first + entries;
    this.#forget();
    return { kind: 'new', first: first + skip, skip };
  }

  /** The channel has ended. */
  broken(): void {
    for (const part of this.#parts) part.tag = null;
    this.#due = this.#parts.length === 0 ? null : -1;
  }

  get awaitsRedelivery(): boolean {
    return this.#due !== null;
  }

  /** Everything before `position` is settled. False: it was already. */
  settle(position: number): boolean {
    if (position <= this.#settled) return false;
    this.#settled = Math.min(position, this.#next);
    for (let part = this.#parts[this.#open]; part !== undefined && part.end <= this.#settled;) {
      part = this.#parts[++this.#open];
    }
    return true;
  }

  /** The message whose entries were settled last; null: none was. */
  head(): SettledHead | null {
    const open = this.#parts[this.#open];
    const part = open !== undefined && open.first < this.#settled ? open : this.#parts[this.#open - 1];
    return part === undefined ? null : { key: part.key, settled: Math.min(this.#settled, part.end) - part.first };
  }

  /** A stamp for everything before `position` is safe at the broker. */
  stamped(position: number): void {
    this.#stamped = Math.max(this.#stamped, position);
  }

  /** Of the standing channel the newest message that may be acked, with all before it; null: none that was not acked already. */
  ackable(): number | null {
    let tag: number | null = null;
    for (let part = this.#parts[this.#unackedFrom]; part !== undefined; part = this.#parts[this.#unackedFrom]) {
      // What was not delivered again yet is acked when it has been.
      if (part.tag === null || part.end > this.#stamped) break;
      tag = part.tag;
      part.isAcked = true;
      this.#unackedFrom++;
    }
    return tag;
  }

  /** null: everything that could come again has come; this one is new. */
  #redelivered(key: string, entries: number, tag: number): Received | null {
    const isFirst = this.#due === -1;
    const at = isFirst ? this.#parts.findIndex((each) => isSame(each, key, entries)) : (this.#due ?? -1);
    const part = this.#parts[at];
    if (isFirst && part === undefined && this.#unackedFrom === this.#parts.length) {
      this.#due = null;
      return null;
    }
    // Whoever begins behind what was never acked has left something out.
    const leavesOut = isFirst && at > this.#unackedFrom;
    if (part === undefined || !isSame(part, key, entries) || leavesOut) return { kind: 'torn' };
    part.tag = tag;
    part.isAcked = false;
    this.#due = at + 1 < this.#parts.length ? at + 1 : null;
    if (isFirst) this.#unackedFrom = at;
    return { kind: 'again' };
  }

  /** Parts that cannot come again; now and then, as cutting moves what stays. */
  #forget(): void {
    const gone = this.#unackedFrom - this.#remembered;
    if (gone < this.#remembered) return;
    this.#parts.splice(0, gone);
    this.#open -= gone;
    this.#unackedFrom -= gone;
  }
}

function isSame(part: Part, key: string, entries: number): boolean {
  return part.key === key && part.end - part.first === entries;
}

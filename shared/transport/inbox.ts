// Owns what a lane has read ahead: a bounded queue of deliveries, and the one byte budget that all inboxes of a process share.
import type { Delivery } from '../command/entry.ts';
import { invariant } from '../process/errors.ts';

/**
 * Half of the budget is shared out evenly, so that no lane can be starved; the other half goes to whoever reads ahead first. An
 * inbox that is empty may always take one thing, however large: the budget is exceeded by at most that, per lane.
 */
export class InboxBudget {
  readonly #share: number;
  readonly #commonMax: number;
  #commonUsed = 0;
  #held = 0;

  constructor(limit: { readonly bytesMax: number; readonly inboxesMax: number }) {
    this.#share = Math.floor(limit.bytesMax / 2 / Math.max(1, limit.inboxesMax));
    this.#commonMax = Math.floor(limit.bytesMax / 2);
  }

  /** Without what is reserved. */
  get heldBytes(): number {
    return this.#held;
  }

  /** How many bytes an inbox that holds `held` may take now. */
  room(held: number): number {
    return Math.max(0, this.#share - held) + Math.max(0, this.#commonMax - this.#commonUsed);
  }

  held(more: number): void {
    this.#held += more;
  }

  /** An inbox holds, or is about to hold, `after` bytes where it did `before`. */
  moved(before: number, after: number): void {
    this.#commonUsed += Math.max(0, after - this.#share) - Math.max(0, before - this.#share);
  }
}

/** Deliveries that came together. What is made when it is handed out need not wait as an object of its own. */
export interface Page {
  readonly count: number;
  bytesOf(index: number): number;
  at(index: number): Delivery;
}

/** Deliveries in order, taken from the front. One lane's own. */
export class Inbox {
  readonly #budget: InboxBudget;
  #pages: Page[] = [];
  /** Index of the first delivery of the first page that was not taken. */
  #taken = 0;
  #entries = 0;
  #bytes = 0;
  /** For what is being read. */
  #reserved = 0;

  constructor(budget: InboxBudget) {
    this.#budget = budget;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Whether something may be read ahead now; always, when nothing is there. */
  get hasRoom(): boolean {
    return this.hasRoomFor(1);
  }

  /** The same for so many bytes. */
  hasRoomFor(bytes: number): boolean {
    return this.#entries === 0 || this.#budget.room(this.#bytes + this.#reserved) >= bytes;
  }

  /** How much may be read now, at most `bytesMax`. It counts as used until the next `push` or `clear`. */
  reserve(bytesMax: number): number {
    const reserved = Math.min(bytesMax, this.#budget.room(this.#bytes + this.#reserved));
    this.#use(this.#bytes, this.#reserved + reserved);
    return reserved;
  }

  /** What was read; it takes the place of what was reserved. */
  push(deliveries: readonly Delivery[]): void {
    this.pushPage({
      count: deliveries.length,
      bytesOf: (index) => mustHave(deliveries, index).bytes.length,
      at: (index) => mustHave(deliveries, index),
    });
  }

  /** The same for what becomes deliveries when they are handed out. */
  pushPage(page: Page): void {
    if (page.count > 0) this.#pages.push(page);
    this.#entries += page.count;
    let bytes = this.#bytes;
    for (let index = 0; index < page.count; index++) bytes += page.bytesOf(index);
    this.#use(bytes, 0);
  }

  /** At least one delivery when there is one, at most `count`, and at most `bytes` unless the first alone has more. */
  take(limit: { readonly count: number; readonly bytes: number }): readonly Delivery[] {
    const batch: Delivery[] = [];
    let bytes = 0;
    for (let page = this.#pages[0]; page !== undefined; page = this.#pages[0]) {
      for (; this.#taken < page.count && batch.length < limit.count; this.#taken++) {
        const after = bytes + page.bytesOf(this.#taken);
        if (batch.length > 0 && after > limit.bytes) return this.#handOut(batch, bytes);
        bytes = after;
        batch.push(page.at(this.#taken));
      }
      if (this.#taken < page.count) break;
      this.#pages.shift();
      this.#taken = 0;
    }
    return this.#handOut(batch, bytes);
  }

  /** Forgets what was not taken. */
  clear(): void {
    this.#pages = [];
    this.#taken = 0;
    this.#entries = 0;
    this.#use(0, 0);
  }

  #handOut(batch: readonly Delivery[], bytes: number): readonly Delivery[] {
    this.#entries -= batch.length;
    this.#use(this.#bytes - bytes, this.#reserved);
    return batch;
  }

  #use(bytes: number, reserved: number): void {
    this.#budget.moved(this.#bytes + this.#reserved, bytes + reserved);
    this.#budget.held(bytes - this.#bytes);
    this.#bytes = bytes;
    this.#reserved = reserved;
  }
}

function mustHave(deliveries: readonly Delivery[], index: number): Delivery {
  const delivery = deliveries[index];
  invariant(delivery !== undefined, 'a page is asked for what it has');
  return delivery;
}

// Owns how many messages a lane's channel may have unacked: more while its holder hungers, fewer when nothing goes on. No I/O.
import type { Clock } from '../../process/time.ts';

/**
 * Every channel may have at least so many. What a channel leaves unacked goes back before everything else in its order, but only if the next
 * one takes all of it at once: what that one leaves goes behind what it had no room for. So nobody ever allows fewer than whoever came before
 * may have had, and whoever wants more says so in the stamp first. Our own messages have 256 KiB at most: 4 MiB, which is what a lane of the
 * default sixteen may have read ahead.
 */
export const PREFETCH_FIRST = 16;
/**
 * Messages of one entry each: a quarter of a batch. More would be faster with such ones alone; but whoever comes to large ones behind them is
 * given all that it may have at once, and throws away what there is no room for.
 */
export const PREFETCH_MAX = 256;
/** It grows to as many as come to so many bytes, in one step: each costs a new channel. */
const GROWN_BYTES_MAX = 1024 * 1024;
/** Of those that are larger, when nothing else helps. */
const GROWTH = 4;
/**
 * So many batches that might have been larger, and there is to be more. Not at once: a new channel is given everything anew that the one
 * before had in hand, and the few small messages with which a backlog begins say nothing of those behind them.
 */
const SHORT_BATCHES = 2;
/** The same after an overflow: only then are messages taken to be smaller again. */
const SHORT_BATCHES_AGAIN = 16;
/** So long with everything in hand that may be, and none of it settled. */
const FULL_MS = 250;
const IDLE_MS = 1_000;
/** Of the usual size, the newest message makes up one part in so many. */
const SIZES_WEIGHED = 4;

export interface LaneFill {
  /** Messages that are not settled. */
  readonly inHand: number;
  /** Entries that were not handed out. */
  readonly waiting: number;
  /** A batch was handed out just now, and it could have been larger. */
  readonly wasShort: boolean;
}

export class Prefetch {
  readonly #clock: Clock;
  /** Up to here it grows soon. */
  #ceiling = PREFETCH_MAX;
  /** Messages that waited when there was no room for one more. */
  #fitting = 1;
  #usualBytes = 0;
  #fullSinceMs: number | null = null;
  #shortBatches = 0;
  #idleSinceMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There was no room for what came, beside so many that wait. */
  overflowed(waiting: number, standing: number): void {
    this.#fitting = Math.max(1, waiting);
    this.#ceiling = standing;
    this.#fullSinceMs = null;
    this.#shortBatches = 0;
  }

  /** Whether so few wait that it is worth while to ask for more. */
  isDrained(waiting: number): boolean {
    return waiting <= this.#fitting / 2;
  }

  /** The channel has ended: what was true of it need not be true of the next. */
  broken(): void {
    this.#fullSinceMs = null;
    this.#idleSinceMs = null;
  }

  /** A message of so many bytes has come. */
  received(bytes: number): void {
    this.#usualBytes += (bytes - this.#usualBytes) / SIZES_WEIGHED;
  }

  /** What the next channel should have, when it is time for one. */
  next(lane: LaneFill, standing: number): number | null {
    const isIdle = lane.waiting === 0 && lane.inHand === 0;
    const isFull = lane.waiting === 0 && lane.inHand >= standing;
    if (!isFull) this.#fullSinceMs = null;
    if (!isIdle) this.#idleSinceMs = null;
    if (isIdle) return this.#shrunk(standing);
    // Half of what may be unacked is in hand: nothing else cuts batches.
    if (lane.waiting === 0 && lane.inHand >= standing / 2) return this.#grown({ ...lane, isFull }, standing);
    return null;
  }

  /** When `next` should be asked again though nothing came. */
  patienceMs(): number {
    const dueMs = Math.min(
      this.#fullSinceMs === null ? Infinity : this.#fullSinceMs + FULL_MS,
      this.#idleSinceMs === null ? Infinity : this.#idleSinceMs + IDLE_MS,
    );
    return Math.max(1, dueMs - this.#clock.monotonicMs());
  }

  #grown({ wasShort, isFull }: LaneFill & { readonly isFull: boolean }, standing: number): number | null {
    if (standing >= PREFETCH_MAX) return null;
    if (wasShort) this.#shortBatches++;
    const fitting = Math.min(PREFETCH_MAX, Math.floor(GROWN_BYTES_MAX / Math.max(1, this.#usualBytes)));
    const isWorthIt =
      fitting >= 2 * standing && this.#shortBatches >= (standing < this.#ceiling ? SHORT_BATCHES : SHORT_BATCHES_AGAIN);
    // Whoever gets nothing at all gets more, whatever its size.
    if (!isWorthIt && !(isFull && this.#isFullForLong())) return null;
    this.#fullSinceMs = null;
    this.#shortBatches = 0;
    return isWorthIt ? fitting : Math.min(PREFETCH_MAX, standing * GROWTH);
  }

  #isFullForLong(): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#fullSinceMs ??= nowMs;
    return nowMs - this.#fullSinceMs >= FULL_MS;
  }

  #shrunk(standing: number): number | null {
    if (standing <= PREFETCH_FIRST) return null;
    this.#idleSinceMs ??= this.#clock.monotonicMs();
    if (this.#clock.monotonicMs() - this.#idleSinceMs < IDLE_MS) return null;
    this.#idleSinceMs = null;
    this.#ceiling = PREFETCH_MAX;
    return PREFETCH_FIRST;
  }
}

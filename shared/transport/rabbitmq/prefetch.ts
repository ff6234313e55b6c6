// Owns how many messages a lane's channel may have unacked: more while its holder hungers, fewer when nothing goes on. No I/O.
import type { Clock } from '../../process/time.ts';

/**
 * Every channel may have at least so many. What a channel leaves unacked goes back before everything else in its order, but only if the next
 * one takes all of it at once: what that one leaves goes behind what it had no room for. So nobody ever allows fewer than whoever came before
 * may have had, and whoever wants more says so in the stamp first.
 */
export const PREFETCH_FIRST = 16;
/**
 * Messages of one entry each: a quarter of a batch. More would be faster with such ones alone; but whoever comes to large ones behind them is
 * given all that it may have at once, and throws away what there is no room for.
 */
export const PREFETCH_MAX = 256;
/** Of larger messages, as a rule, no more than come to so many bytes. */
const GROWN_BYTES_MAX = 4 * 1024 * 1024;
const GROWTH = 4;
/** After an overflow: so long without anything, or so often short of it, and messages are taken to be smaller again. */
const HUNGRY_MS = 250;
const HUNGRY_TIMES = 16;
const IDLE_MS = 1_000;
/** Of the usual size, the newest message makes up one part in so many. */
const SIZES_WEIGHED = 16;

export class Prefetch {
  readonly #clock: Clock;
  /** Up to here it grows at once. */
  #ceiling = PREFETCH_MAX;
  /** Messages that waited when there was no room for one more. */
  #fitting = 1;
  #usualBytes = 0;
  #hungrySinceMs: number | null = null;
  #hungryTimes = 0;
  #idleSinceMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There was no room for what came, beside so many that wait. */
  overflowed(waiting: number, standing: number): void {
    this.#fitting = Math.max(1, waiting);
    this.#ceiling = standing;
    this.#hungrySinceMs = null;
    this.#hungryTimes = 0;
  }

  /** Whether so few wait that it is worth while to ask for more. */
  isDrained(waiting: number): boolean {
    return waiting <= this.#fitting / 2;
  }

  /** A message of so many bytes has come. */
  received(bytes: number): void {
    this.#usualBytes += (bytes - this.#usualBytes) / SIZES_WEIGHED;
  }

  /** What the next channel should have, when it is time for one. `inHand`: messages that are not settled; `waiting`: entries not handed out. */
  next(lane: { readonly inHand: number; readonly waiting: number }, standing: number): number | null {
    const isIdle = lane.waiting === 0 && lane.inHand === 0;
    // Its holder asks for more than there is, and has half of what may be unacked: nothing else cuts its batches.
    const isStarved = lane.waiting === 0 && lane.inHand >= standing / 2;
    if (!isStarved) this.#hungrySinceMs = null;
    if (!isIdle) this.#idleSinceMs = null;
    if (isStarved) return this.#grown(standing);
    return isIdle ? this.#shrunk(standing) : null;
  }

  /** When `next` should be asked again though nothing came. */
  patienceMs(): number {
    const dueMs = Math.min(
      this.#hungrySinceMs === null ? Infinity : this.#hungrySinceMs + HUNGRY_MS,
      this.#idleSinceMs === null ? Infinity : this.#idleSinceMs + IDLE_MS,
    );
    return Math.max(1, dueMs - this.#clock.monotonicMs());
  }

  #grown(standing: number): number | null {
    const grown = Math.min(PREFETCH_MAX, standing * GROWTH);
    if (grown <= standing) return null;
    const nowMs = this.#clock.monotonicMs();
    if (this.#hungrySinceMs === null) {
      this.#hungrySinceMs = nowMs;
      this.#hungryTimes++;
    }
    const isSmall = grown * this.#usualBytes <= GROWN_BYTES_MAX;
    const isWorthIt = isSmall && (standing < this.#ceiling || this.#hungryTimes > HUNGRY_TIMES);
    // Whoever gets nothing at all gets more, whatever its size.
    if (!isWorthIt && nowMs - this.#hungrySinceMs < HUNGRY_MS) return null;
    this.#hungrySinceMs = null;
    this.#hungryTimes = 0;
    return grown;
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

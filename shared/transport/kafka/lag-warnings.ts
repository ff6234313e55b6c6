// Owns the warning that a lane is so far behind that the topic's retention may overtake it.
import type { Partition } from '../../command/identity.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock } from '../../process/time.ts';

/** Of the retention; what is left must be time enough for a person. */
const SHARE = 1 / 4;
const HOUR_MS = 3_600_000;

export class LagWarnings {
  readonly #observe: Observe;
  readonly #clock: Clock;
  readonly #warnedMs = new Map<Partition, number>();
  /** Infinity until the topic was looked at, and for one that keeps everything. */
  retentionMs = Infinity;

  constructor(observe: Observe, clock: Clock) {
    this.#observe = observe;
    this.#clock = clock;
  }

  /** An entry of this append time was read just now. At most one warning an hour for each partition. */
  read(partition: Partition, appendedAt: Date): void {
    const lagMs = this.#clock.now().getTime() - appendedAt.getTime();
    if (lagMs <= this.retentionMs * SHARE) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#warnedMs.get(partition) ?? -Infinity) < HOUR_MS) return;
    this.#warnedMs.set(partition, nowMs);
    this.#observe({
      kind: 'log-warned',
      detail: `partition ${partition} is ${Math.round(lagMs / 1_000)} s behind, and the topic keeps ${Math.round(this.retentionMs / 1_000)} s: add consumers or keep entries longer, before commands are lost`,
    });
  }
}

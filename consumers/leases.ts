// Owns who reads which partition: membership, renewal, fair share and take-over, through one small table.
import type { Partition } from '../shared/command/identity.ts';
import type { Database } from '../shared/postgres/database.ts';
import type { Observe } from '../shared/process/events.ts';
import { Latest } from '../shared/process/latest.ts';
import type { Service } from '../shared/process/service.ts';
import type { Clock, Random } from '../shared/process/time.ts';
import { Holdings } from './leases/holdings.ts';
import type { Member } from './leases/lease-table.ts';
import { Membership } from './leases/membership.ts';
import { changeReport, type Report } from './leases/report.ts';
import { TurnLoop } from './leases/turn-loop.ts';
import { Turns } from './leases/turn.ts';

/**
 * Leases spread the work; correctness never rests on them, only on the fence. What they do promise: unless a clock or a process
 * stands still, a partition has left `mine` before anybody else can take it, and everybody gets a fair share within seconds.
 * Where the broker's group decides who reads what, leases only follow: `leases/following-leases`.
 *
 *   out ──join()──▶ in ──leave()──▶ out       in `out` nothing is taken, and what was held is given back as its lanes end
 */
export interface Leases extends Service {
  /** Partitions to read, the newest set for whoever asks; empty until `join`. Ends after `stop`. */
  readonly mine: AsyncIterable<ReadonlySet<Partition>>;
  /** Asks for a share. Idempotent. */
  join(): void;
  /** Gives everything back: each partition as soon as its lane is released. Idempotent. */
  leave(): void;
  /** A lane of this partition is open: its row is kept until `laneReleased`, or until the drain's time is over. */
  laneOpened(partition: Partition): void;
  laneReleased(partition: Partition): void;
  /** Right now, by the monotonic clock; also tells a process that had been frozen, before any timer does. */
  isSafe(partition: Partition): boolean;
  status(): LeasesStatus;
}

export interface LeasesStatus {
  /** The others know of us, as far as we know. */
  readonly isMember: boolean;
  readonly held: readonly Partition[];
  readonly leaving: readonly Partition[];
  /** Members, this one included, at the last look. */
  readonly consumers: number;
}

export interface LeasesGiven {
  readonly database: Pick<Database, 'url' | 'schema'>;
  readonly me: Member;
  readonly times?: LeaseTimes;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export interface LeaseTimes {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** How long the row of a partition that is given back waits for its lane. */
  readonly drainMs: number;
}

export const LEASE_TIMES: LeaseTimes = { leaseMs: 4_000, renewMs: 1_000, drainMs: 10_000 };
/** The part of a lease that is not used: for clocks that differ in rate, and for timers that fire late. */
const MARGIN = 1 / 8;

export function openLeases(given: LeasesGiven): Leases {
  return new TableLeases(given);
}

class TableLeases implements Leases {
  readonly name = 'leases';
  readonly #given: LeasesGiven;
  readonly #times: LeaseTimes;
  readonly #membership = new Membership();
  readonly #holdings: Holdings;
  readonly #turns: Turns;
  readonly #loop: TurnLoop;
  readonly #mine = new Latest<ReadonlySet<Partition>>(new Set());
  readonly #report: Report;
  #watching: Promise<void> | null = null;

  constructor(given: LeasesGiven) {
    this.#given = given;
    this.#times = given.times ?? LEASE_TIMES;
    this.#report = changeReport(given.observe);
    this.#holdings = new Holdings({ safeMs: this.#times.leaseMs * (1 - MARGIN), drainMs: this.#times.drainMs });
    this.#turns = new Turns({
      me: given.me,
      membership: this.#membership,
      holdings: this.#holdings,
      observe: given.observe,
      clock: given.clock,
      publish: () => this.#publish(),
      again: () => this.#loop.wake(),
    });
    this.#loop = new TurnLoop({ ...given, times: this.#times, turns: this.#turns });
  }

  get mine(): AsyncIterable<ReadonlySet<Partition>> {
    return this.#mine;
  }

  start(): Promise<void> {
    this.#loop.start();
    if (!this.#loop.stopped.aborted) this.#watching ??= this.#watch();
    return Promise.resolve();
  }

  async stop(deadlineMs: number): Promise<void> {
    this.leave();
    this.#mine.end();
    await Promise.all([this.#loop.stop(deadlineMs), this.#watching]);
  }

  join(): void {
    if (this.#loop.stopped.aborted) return;
    this.#membership.wanted = 'in';
    this.#loop.wake();
  }

  leave(): void {
    this.#membership.wanted = 'out';
    this.#holdings.giveBack(this.#holdings.held(), this.#given.clock.monotonicMs());
    this.#publish();
    this.#loop.wake();
  }

  laneOpened(partition: Partition): void {
    this.#holdings.laneOpened(partition);
  }

  laneReleased(partition: Partition): void {
    this.#holdings.laneReleased(partition);
    if (this.#holdings.leaving().has(partition)) this.#loop.wake();
  }

  isSafe(partition: Partition): boolean {
    return this.#holdings.isSafe(partition, this.#given.clock.monotonicMs());
  }

  status(): LeasesStatus {
    return {
      isMember: this.#membership.isMember && !this.#loop.isAway,
      held: [...this.#holdings.held()],
      leaving: [...this.#holdings.leaving()],
      consumers: this.#membership.consumers,
    };
  }

  /** Leases end by our own clock, whether or not the database answers. */
  async #watch(): Promise<void> {
    const { clock } = this.#given;
    const { renewMs } = this.#times;
    const { stopped } = this.#loop;
    while (!stopped.aborted) {
      this.#turns.lapse();
      const nowMs = clock.monotonicMs();
      const next = this.#holdings.nextLapseMs() ?? nowMs + renewMs;
      await clock.sleep(Math.min(renewMs, Math.max(1, Math.ceil(next - nowMs))), stopped);
    }
  }

  #publish(): void {
    const held = this.#holdings.held();
    if (held.size !== this.#mine.value.size || [...held].some((each) => !this.#mine.value.has(each)))
      this.#mine.set(held);
    this.#report(held, this.#membership.consumers);
  }
}

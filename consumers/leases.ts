// Owns who reads which partition: membership, renewal, fair share and take-over, through one small table.
import type { Partition } from '../shared/command/identity.ts';
import type { Database } from '../shared/postgres/database.ts';
import { asError } from '../shared/process/errors.ts';
import type { Observe } from '../shared/process/events.ts';
import { Latest } from '../shared/process/latest.ts';
import type { Service } from '../shared/process/service.ts';
import { backoffMs, type Clock, type Random } from '../shared/process/time.ts';
import { Holdings } from './leases/holdings.ts';
import { openLeaseSession, type LeaseSession } from './leases/lease-session.ts';
import { LeaseTable, type Member } from './leases/lease-table.ts';
import { Turns } from './leases/turn.ts';

/**
 * Leases spread the work; correctness never rests on them, only on the fence. What they do promise: unless a clock or a process
 * stands still, a partition has left `mine` before anybody else can take it, and everybody gets a fair share within seconds.
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
/** A database that is away then must not hold up a stop: what is not given back runs out by itself. */
const LAST_TRIES = 3;
/** What happens in one moment is answered by one turn. */
const GATHER_MS = 20;

export function openLeases(given: LeasesGiven): Leases {
  return new TableLeases(given);
}

class TableLeases implements Leases {
  readonly name = 'leases';
  readonly #given: LeasesGiven;
  readonly #times: LeaseTimes;
  readonly #holdings: Holdings;
  readonly #turns: Turns;
  readonly #mine = new Latest<ReadonlySet<Partition>>(new Set());
  readonly #stopped = new AbortController();
  #session: LeaseSession | null = null;
  #isAway = false;
  #reported = '';
  #woken = new AbortController();
  #running: Promise<unknown> | null = null;

  constructor(given: LeasesGiven) {
    this.#given = given;
    this.#times = given.times ?? LEASE_TIMES;
    this.#holdings = new Holdings({ safeMs: this.#times.leaseMs * (1 - MARGIN), drainMs: this.#times.drainMs });
    this.#turns = new Turns({
      me: given.me,
      holdings: this.#holdings,
      observe: given.observe,
      clock: given.clock,
      publish: () => this.#publish(),
      again: () => this.#wake(),
    });
  }

  get mine(): AsyncIterable<ReadonlySet<Partition>> {
    return this.#mine;
  }

  /** Does not wait for the database: whether it is away now or later makes no difference. */
  start(): Promise<void> {
    if (!this.#stopped.signal.aborted) this.#running ??= Promise.all([this.#keep(), this.#watch()]);
    return Promise.resolve();
  }

  async stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#given;
    const untilMs = clock.monotonicMs() + deadlineMs;
    this.leave();
    this.#stopped.abort();
    this.#mine.end();
    if (this.#running === null) return;
    const inTime = new AbortController();
    // Closing comes last in any case: a connection may still be opening when the deadline passes.
    const ended = this.#running.then(() => this.#end(untilMs)).finally(() => this.#session?.close());
    await Promise.race([ended, clock.sleep(deadlineMs, inTime.signal)]);
    inTime.abort();
    this.#session?.close();
  }

  join(): void {
    if (this.#stopped.signal.aborted) return;
    this.#turns.wanted = 'in';
    this.#wake();
  }

  leave(): void {
    this.#turns.wanted = 'out';
    this.#holdings.giveBack(this.#holdings.held(), this.#given.clock.monotonicMs());
    this.#publish();
    this.#wake();
  }

  laneOpened(partition: Partition): void {
    this.#holdings.laneOpened(partition);
  }

  laneReleased(partition: Partition): void {
    this.#holdings.laneReleased(partition);
    if (this.#holdings.leaving().has(partition)) this.#wake();
  }

  isSafe(partition: Partition): boolean {
    return this.#holdings.isSafe(partition, this.#given.clock.monotonicMs());
  }

  status(): LeasesStatus {
    return {
      isMember: this.#turns.isMember && !this.#isAway,
      held: [...this.#holdings.held()],
      leaving: [...this.#holdings.leaving()],
      consumers: this.#turns.consumers,
    };
  }

  /** A turn each second, and at once when something happened; for ever, whatever the database does. */
  async #keep(): Promise<void> {
    const { clock, random } = this.#given;
    const stopped = this.#stopped.signal;
    for (let failures = 0; !stopped.aborted;) {
      this.#woken = new AbortController();
      try {
        if (!this.#turns.isIdle) await this.#turns.take(await this.#connected());
        failures = 0;
        this.#restored();
        await clock.sleep(this.#times.renewMs, this.#woken.signal);
        await clock.sleep(GATHER_MS, stopped);
      } catch (thrown) {
        failures++;
        this.#lose(asError(thrown));
        await clock.sleep(backoffMs(failures, random, { firstMs: 50, maxMs: this.#times.renewMs }), stopped);
      }
    }
  }

  /** Leases end by our own clock, whether or not the database answers. */
  async #watch(): Promise<void> {
    const { clock } = this.#given;
    const { renewMs } = this.#times;
    while (!this.#stopped.signal.aborted) {
      this.#turns.lapse();
      const nowMs = clock.monotonicMs();
      const next = this.#holdings.nextLapseMs() ?? nowMs + renewMs;
      await clock.sleep(Math.min(renewMs, Math.max(1, Math.ceil(next - nowMs))), this.#stopped.signal);
    }
  }

  async #end(untilMs: number): Promise<void> {
    const { clock } = this.#given;
    for (let tries = 0; tries < LAST_TRIES && !this.#turns.isIdle && clock.monotonicMs() < untilMs; tries++) {
      try {
        await this.#turns.takeLast(await this.#connected());
      } catch (thrown) {
        this.#lose(asError(thrown));
        await clock.sleep(GATHER_MS);
      }
    }
  }

  async #connected(): Promise<LeaseTable> {
    const { database, me } = this.#given;
    this.#session ??= await openLeaseSession({
      url: database.url,
      answerMs: this.#times.leaseMs / 2,
      onNotification: (payload) => {
        if (payload === database.schema) this.#wake();
      },
      onBroken: () => this.#wake(),
    });
    return new LeaseTable(this.#session.client, { schema: database.schema, me, leaseMs: this.#times.leaseMs });
  }

  #lose(cause: Error): void {
    this.#session?.close();
    this.#session = null;
    if (!this.#isAway) this.#given.observe({ kind: 'connection-lost', what: 'leases', cause });
    this.#isAway = true;
  }

  #restored(): void {
    if (this.#isAway) this.#given.observe({ kind: 'connection-restored', what: 'leases' });
    this.#isAway = false;
  }

  #publish(): void {
    const held = this.#holdings.held();
    if (held.size !== this.#mine.value.size || [...held].some((each) => !this.#mine.value.has(each)))
      this.#mine.set(held);
    const event = { held: [...held].sort((a, b) => a - b), consumers: this.#turns.consumers };
    const report = JSON.stringify(event);
    if (report === this.#reported) return;
    this.#reported = report;
    this.#given.observe({ kind: 'leases-changed', ...event });
  }

  #wake(): void {
    this.#woken.abort();
  }
}

// Owns when turns are taken at the lease table: regularly and at once when woken, through outages, and once more before the end.
import type { Database } from '../../shared/postgres/database.ts';
import { asError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import { backoffMs, type Clock, type Random } from '../../shared/process/time.ts';
import { openLeaseSession, type LeaseSession } from './lease-session.ts';
import { LeaseTable, type Member } from './lease-table.ts';

/** One caller, one turn at a time. A turn that rejects may have been done in part; the next one puts that right. */
export interface TurnTaker {
  /** Nothing to do, and nothing of ours in the table. */
  readonly isIdle: boolean;
  take(table: LeaseTable): Promise<void>;
  /** Whatever is left goes: the process is about to end. */
  takeLast(table: LeaseTable): Promise<void>;
}

export interface TurnLoopGiven {
  readonly database: Pick<Database, 'url' | 'schema'>;
  readonly me: Member;
  readonly times: { readonly leaseMs: number; readonly renewMs: number };
  readonly turns: TurnTaker;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

/** A database that is away then must not hold up a stop: what is not given back runs out by itself. */
const LAST_TRIES = 3;
/** What happens in one moment is answered by one turn. */
const GATHER_MS = 20;

export class TurnLoop {
  readonly #given: TurnLoopGiven;
  readonly #stopped = new AbortController();
  #session: LeaseSession | null = null;
  #isAway = false;
  /** For longer than a lease: its event loop did not turn, or it was stopped. For good: what happened then is not known. */
  #hasStoodStill = false;
  #woken = new AbortController();
  #running: Promise<void> | null = null;

  constructor(given: TurnLoopGiven) {
    this.#given = given;
  }

  /** The last turn failed, and none has been taken since. */
  get isAway(): boolean {
    return this.#isAway;
  }

  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  /** Does not wait for the database: whether it is away now or later makes no difference. */
  start(): void {
    if (!this.#stopped.signal.aborted) this.#running ??= this.#keep();
  }

  wake(): void {
    this.#woken.abort();
  }

  async stop(deadlineMs: number): Promise<void> {
    const { clock } = this.#given;
    const untilMs = clock.monotonicMs() + deadlineMs;
    this.#stopped.abort();
    this.wake();
    if (this.#running === null) return;
    const inTime = new AbortController();
    // Closing comes last in any case: a connection may still be opening when the deadline passes.
    const ended = this.#running.then(() => this.#end(untilMs)).finally(() => this.#session?.close());
    await Promise.race([ended, clock.sleep(deadlineMs, inTime.signal)]);
    inTime.abort();
    this.#session?.close();
  }

  /** A turn each time, and at once when something happened; for ever, whatever the database does. */
  async #keep(): Promise<void> {
    const { clock, random, times, turns } = this.#given;
    const stopped = this.#stopped.signal;
    for (let failures = 0; !stopped.aborted;) {
      this.#woken = new AbortController();
      try {
        if (!turns.isIdle) await turns.take(await this.#connected());
        failures = 0;
        this.#restored();
        const restedMs = clock.monotonicMs();
        await clock.sleep(times.renewMs, this.#woken.signal);
        await clock.sleep(GATHER_MS, stopped);
        if (clock.monotonicMs() - restedMs > times.leaseMs) this.#hasStoodStill = true;
      } catch (thrown) {
        failures++;
        this.#lose(asError(thrown));
        await clock.sleep(backoffMs(failures, random, { firstMs: 50, maxMs: times.renewMs }), stopped);
      }
    }
  }

  async #end(untilMs: number): Promise<void> {
    const { clock, turns } = this.#given;
    for (let tries = 0; tries < LAST_TRIES && !turns.isIdle && clock.monotonicMs() < untilMs; tries++) {
      try {
        await turns.takeLast(await this.#connected());
      } catch (thrown) {
        this.#lose(asError(thrown));
        await clock.sleep(GATHER_MS);
      }
    }
  }

  async #connected(): Promise<LeaseTable> {
    const { database, me, times } = this.#given;
    this.#session ??= await openLeaseSession({
      url: database.url,
      answerMs: times.leaseMs / 2,
      onNotification: (payload) => {
        if (payload === database.schema) this.wake();
      },
      onBroken: () => this.wake(),
    });
    return new LeaseTable(this.#session.client, {
      schema: database.schema,
      me,
      leaseMs: times.leaseMs,
      hasStoodStill: this.#hasStoodStill,
    });
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
}

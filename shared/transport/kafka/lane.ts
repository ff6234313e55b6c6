// Owns a lane over a Kafka partition: it takes what the group fetches into its inbox, and goes on only while the log is still the same.
import { entryHash, type Delivery } from '../../command/entry.ts';
import { position, type Partition, type Position, type Uuid } from '../../command/identity.ts';
import { asError, invariant } from '../../process/errors.ts';
import { sleepUntilWoken, type Clock } from '../../process/time.ts';
import { Inbox, type InboxBudget } from '../inbox.ts';
import type { Hold } from '../lane-roster.ts';
import { LogDiverged } from '../log-diverged.ts';
import { foreignSystem } from '../resume-check.ts';
import type { Lane, Resume } from '../transport.ts';
import type { Bounds } from './cluster-view.ts';
import type { Fetched, Taken } from './fetched.ts';
import type { GroupLink } from './group-link.ts';
import { LogCheck } from './log-check.ts';
import type { RecordPage } from './records.ts';

/** Read ahead until so many entries wait, and again when half of them are gone: what is left must bridge an empty fetch. */
const AHEAD_ENTRIES_MAX = 20_000;
const AHEAD_ENTRIES_LOW = AHEAD_ENTRIES_MAX / 2;
/** A partition that was not looked at for so long may have been deleted and made again. */
const UNWATCHED_MS = 1_000;
const CHECK_AGAIN_MS = 500;

export interface KafkaLaneGiven {
  readonly group: Pick<GroupLink, 'readFrom' | 'resume' | 'pause'>;
  readonly budget: InboxBudget;
  /** What one fetch may bring: with room for less, most of it would be read in vain, and fetched again. */
  readonly fetchBytes: number;
  readonly systemId: Uuid;
  readonly clock: Clock;
  /** Of this partition, now. Rejects when the broker is away. */
  readonly bounds: () => Promise<Bounds>;
  readonly onSettled: (through: Position) => void;
  readonly onRead: (newest: Delivery) => void;
  readonly onReleased: (lane: KafkaLane) => void;
}

// What is done with records that come:
//   idle      nothing is asked for, what comes late is not heard
//   checking  they go to the check: at the start, after every change of the group, after a long pause, and when a record does not
//             have the place that was due; when the check ends well: reading
//   reading   they go to the inbox; paused while it is full
export class KafkaLane implements Lane {
  readonly partition: Partition;
  readonly lost: AbortSignal;
  readonly #hold: Hold;
  readonly #given: KafkaLaneGiven;
  readonly #inbox: Inbox;
  #state: 'idle' | 'checking' | 'reading' = 'idle';
  #check: LogCheck | null = null;
  /** Offset to read next, null before the start; and the newest entry before it. */
  #ahead: number | null = null;
  #last: Resume['last'] | Delivery = null;
  /** Of the newest entry that was read here. */
  #appendedAt = new Date(0);
  #pausedMs: number | null = null;
  /** Nothing can be fetched; told by `next` once the inbox is empty and its wait is over. */
  #away: Error | null = null;
  /** The log is another one (nothing more is handed out), or goes on with entries of another system (the inbox still is). */
  #diverged: LogDiverged | null = null;
  #foreign: LogDiverged | null = null;
  #callsOpen = 0;
  #calledMs: number;
  #wakeNext: (() => void) | null = null;

  constructor(hold: Hold, given: KafkaLaneGiven) {
    this.partition = hold.partition;
    this.lost = hold.lost;
    this.#hold = hold;
    this.#given = given;
    this.#inbox = new Inbox(given.budget);
    this.#calledMs = given.clock.monotonicMs();
  }

  start(at: Resume): Promise<void> {
    this.#last = at.last;
    return this.#called(() => this.#checkOnce(at));
  }

  next(limit: {
    readonly count: number;
    readonly bytes: number;
    readonly waitMs: number;
  }): Promise<readonly Delivery[]> {
    return this.#called(async () => {
      invariant(this.#ahead !== null, 'a lane is started before it is read');
      const until = this.#given.clock.monotonicMs() + limit.waitMs;
      for (;;) {
        if (this.lost.aborted) return [];
        if (this.#diverged !== null) throw this.#diverged;
        const batch = this.#inbox.take(limit);
        this.#goOn();
        if (batch.length > 0) return batch;
        if (this.#foreign !== null) throw this.#foreign;
        const restMs = until - this.#given.clock.monotonicMs();
        if (restMs <= 0 && this.#away !== null) throw this.#away;
        if (restMs <= 0) return [];
        await this.#change(restMs);
      }
    });
  }

  settle(through: Position): Promise<void> {
    this.#calledMs = this.#given.clock.monotonicMs();
    if (!this.lost.aborted) this.#given.onSettled(through);
    return Promise.resolve();
  }

  release(): Promise<void> {
    this.#rest();
    this.#ahead = null;
    this.#inbox.clear();
    this.#given.onReleased(this);
    this.#hold.release();
    return Promise.resolve();
  }

  /** How long its holder has done nothing with it; 0 while it waits here, and before the start: that of a halted lane never comes. */
  silentMs(): number {
    return this.#callsOpen > 0 || this.#ahead === null ? 0 : this.#given.clock.monotonicMs() - this.#calledMs;
  }

  /** The log may be another one, and whatever was asked for is forgotten: the group has a new generation, or kafkajs has met an error. */
  doubted(): void {
    if (this.#check !== null) this.#check.doubted();
    else this.#recheck();
  }

  /** Nothing is fetched until the next generation. */
  away(cause: Error): void {
    this.#away = cause;
    this.#wake();
  }

  fetched(fetched: Fetched): Taken {
    if (this.#state === 'idle' || this.lost.aborted) this.#given.group.pause(this.partition);
    else if (this.#check !== null) this.#check.fetched(fetched);
    else if (fetched.first === this.#ahead) return this.#take(fetched);
    else this.#recheck();
    return null;
  }

  skipped(first: number, last: number): void {
    if (this.#check !== null) this.#check.skipped(first);
    else if (this.#state === 'reading' && first === this.#ahead) this.#ahead = last + 1;
  }

  #take({ page: whole, last }: Fetched): Taken {
    const count = this.#fitting(whole);
    const page = whole.first(count).appendedFrom(this.#appendedAt);
    const own = Math.min(count, page.countOwn(this.#given.systemId));
    this.#inbox.pushPage({ count: own, bytesOf: (index) => page.bytesOf(index), at: (index) => page.at(index) });
    const foreign = own < count ? page.at(own) : undefined;
    const newest = count > 0 ? page.at(count - 1) : undefined;
    if (newest !== undefined) {
      // Behind the last entry there may be records that are nobody's.
      this.#ahead = (count === whole.count ? last : Number(newest.position)) + 1;
      const { position: at, bytes, headers, appendedAt } = newest;
      // Its bytes are a part of the whole page.
      this.#last = { position: at, bytes: Buffer.from(bytes), headers, appendedAt };
      this.#appendedAt = appendedAt;
      this.#given.onRead(newest);
    }
    if (foreign !== undefined) {
      this.#foreign = foreignSystem(this.partition, foreign);
      this.#rest();
    } else if (count < whole.count || !this.#wantsMore(AHEAD_ENTRIES_MAX, 1)) {
      this.#pausedMs = this.#given.clock.monotonicMs();
      this.#given.group.pause(this.partition);
    }
    this.#wake();
    return newest === undefined ? null : Number(newest.position);
  }

  /** How many may be read ahead now; one at least when nothing waits. */
  #fitting(page: RecordPage): number {
    let wanted = 0;
    for (let index = 0; index < page.count; index++) wanted += page.bytesOf(index);
    let room = this.#inbox.reserve(wanted);
    for (let index = 0; index < page.count; index++) {
      room -= page.bytesOf(index);
      if (room < 0) return index === 0 && this.#inbox.entries === 0 ? 1 : index;
    }
    return page.count;
  }

  #wantsMore(entriesMax: number, bytes: number): boolean {
    return this.#inbox.entries < entriesMax && this.#inbox.hasRoomFor(bytes);
  }

  #goOn(): void {
    if (
      this.#pausedMs === null ||
      this.#state !== 'reading' ||
      !this.#wantsMore(AHEAD_ENTRIES_LOW, this.#given.fetchBytes)
    )
      return;
    const unwatchedMs = this.#given.clock.monotonicMs() - this.#pausedMs;
    this.#pausedMs = null;
    if (unwatchedMs < UNWATCHED_MS) this.#given.group.resume(this.partition);
    else this.#recheck();
  }

  #rest(): void {
    this.#check?.abandon();
    this.#check = null;
    this.#state = 'idle';
    this.#pausedMs = null;
    this.#given.group.pause(this.partition);
  }

  /** Behind the holder's back; tried again until it is known. */
  #recheck(): void {
    if (this.#ahead === null || this.#diverged !== null || this.#foreign !== null) return;
    const last = this.#last;
    void this.#checkUntilKnown({
      next: position(this.#ahead),
      last: last === null || 'hash' in last ? last : { position: last.position, hash: entryHash(last) },
      commits: 0n,
    });
  }

  /** Never rejects. */
  async #checkUntilKnown(at: Resume): Promise<void> {
    for (;;) {
      const checking = this.#checkOnce(at);
      const check = this.#check;
      try {
        return await checking;
      } catch (thrown) {
        if (check === null || check.isAbandoned || this.lost.aborted) return;
        if (thrown instanceof LogDiverged) this.#diverged = thrown;
        else this.#away = asError(thrown);
        this.#wake();
        if (this.#diverged !== null) return;
        await this.#given.clock.sleep(CHECK_AGAIN_MS, this.lost);
        if (this.#check !== check) return;
      }
    }
  }

  /** Rejects with LogDiverged, or when it could not be found out. */
  async #checkOnce(at: Resume): Promise<void> {
    const { group, bounds, clock } = this.#given;
    this.#rest();
    const check = new LogCheck({
      partition: this.partition,
      at,
      lost: this.lost,
      clock,
      bounds,
      onRead: ({ appendedAt }) => {
        if (appendedAt > this.#appendedAt) this.#appendedAt = appendedAt;
      },
      readFrom: (offset) => group.readFrom(this.partition, offset),
      stopReading: () => group.pause(this.partition),
    });
    this.#check = check;
    this.#state = 'checking';
    const start = Number(await check.run());
    check.refuseAbandoned();
    this.#check = null;
    this.#state = 'reading';
    this.#ahead = start;
    this.#away = null;
    group.readFrom(this.partition, start);
    this.#wake();
  }

  async #called<T>(work: () => Promise<T>): Promise<T> {
    this.#callsOpen++;
    try {
      return await work();
    } finally {
      this.#callsOpen--;
      this.#calledMs = this.#given.clock.monotonicMs();
    }
  }

  #wake(): void {
    this.#wakeNext?.();
  }

  /** Resolves when something came, the lane is lost, or after `ms`. */
  #change(ms: number): Promise<void> {
    return sleepUntilWoken(this.#given.clock, ms, this.lost, (wake) => {
      this.#wakeNext = wake;
      return () => (this.#wakeNext = null);
    });
  }
}

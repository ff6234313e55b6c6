// Owns "what became of X?": one LISTEN and one read at a time for any number of waiters; polling is the fallback.
import type { CommandId, Position } from '../shared/command/identity.ts';
import type { RecordedOutcome } from '../shared/command/outcome.ts';
import type { Database } from '../shared/postgres/database.ts';
import { readOutcomes } from '../shared/postgres/ledger-reads.ts';
import { openListener, outcomesChannel } from '../shared/postgres/notify.ts';
import { asError } from '../shared/process/errors.ts';
import type { Observe } from '../shared/process/events.ts';
import type { Clock } from '../shared/process/time.ts';
import { isAhead, judge, type Reached, type Seen, type Sought } from './judge.ts';
import { readReached } from './lane-progress.ts';

export interface Waiting {
  /** Never rejects. `pending` or `nothing` when the time is up; then nobody waits any more. */
  readonly seen: Promise<Seen>;
  /** The command stands in the log, there. */
  acceptedAt(position: Position | null): void;
  /** The caller has gone. Idempotent. */
  cancel(): void;
}

export interface OutcomeWatch {
  /** One look, together with everybody else's. Never rejects; null: too many are waiting. */
  look(sought: Sought): Promise<Seen> | null;
  /** Begin before publishing, then no outcome can be missed. null: too many are waiting. */
  wait(
    sought: Sought,
    patience: { readonly waitMs: number; readonly begun: 'before-publish' | 'after-publish' },
  ): Waiting | null;
  /** A lane of this very process has committed: the same as a notification, only sooner. */
  committed(commit: CommitHere): void;
  waiters(): number;
  /** Everybody who waits is answered `pending`. Idempotent. */
  close(): Promise<void>;
}

export interface CommitHere {
  readonly partition: number;
  /** What the commit decided; called only when somebody waits. */
  outcomes(): readonly RecordedOutcome[];
  /** `some`: the outcomes of other entries that it passed stand in the database only. */
  readonly others: 'none' | 'some';
}

export interface WatchGiven {
  readonly database: Database;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly limits?: Partial<WatchLimits>;
}

export interface WatchLimits {
  readonly waiters: number;
  /** Ids per read; the rest comes with the next one. */
  readonly readIds: number;
  /** How often all waiters are looked up although no hint came. */
  readonly pollMs: number;
}

const LIMITS: WatchLimits = { waiters: 10_000, readIds: 1_000, pollMs: 1_000 };
const TICK_MS = 25;

export function openOutcomeWatch(given: WatchGiven): OutcomeWatch {
  return new Watch(given);
}

interface Waiter {
  sought: Sought;
  readonly patience: 'one-look' | 'until-outcome';
  readonly untilMs: number;
  readonly seen: Promise<Seen>;
  readonly settle: (seen: Seen) => void;
  /** Compare with the lane's progress at the next look. */
  wantsProgress: boolean;
}

class Watch implements OutcomeWatch {
  private readonly given: WatchGiven;
  private readonly limits: WatchLimits;
  private readonly all = new Set<Waiter>();
  private readonly due = new Set<Waiter>();
  private readonly stop = new AbortController();
  private readonly listener: { close(): Promise<void> };
  private readonly ticking: Promise<void>;
  private reading: Promise<void> | null = null;
  private closing: Promise<void> | null = null;

  constructor(given: WatchGiven) {
    this.given = given;
    this.limits = { ...LIMITS, ...given.limits };
    this.listener = openListener({
      url: given.database.url,
      channel: outcomesChannel(given.database.schema),
      onNotification: (payload) => {
        this.hinted(payload);
      },
      onConnected: () => {
        this.lookAtAll('as-it-is');
      },
      observe: given.observe,
    });
    this.ticking = this.tick();
  }

  look(sought: Sought): Promise<Seen> | null {
    const waiter = this.enter(sought, 'one-look', Infinity);
    if (waiter === null) return null;
    this.lookAt(waiter);
    return waiter.seen;
  }

  wait(sought: Sought, patience: Parameters<OutcomeWatch['wait']>[1]): Waiting | null {
    const waiter = this.enter(sought, 'until-outcome', this.given.clock.monotonicMs() + patience.waitMs);
    if (waiter === null) return null;
    // Who begins before publishing gets the hint of the commit; a look at once would find nothing.
    if (patience.begun === 'after-publish') this.lookAt(waiter);
    return {
      seen: waiter.seen,
      acceptedAt: (position) => {
        waiter.sought = { ...waiter.sought, position };
      },
      cancel: () => {
        this.settle(waiter, PENDING);
      },
    };
  }

  waiters(): number {
    return this.all.size;
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    this.stop.abort();
    for (const waiter of [...this.all]) this.settle(waiter, PENDING);
    await Promise.all([this.ticking, this.listener.close()]);
    await this.reading;
  }

  private enter(sought: Sought, patience: Waiter['patience'], untilMs: number): Waiter | null {
    if (this.all.size >= this.limits.waiters) return null;
    let settle: Waiter['settle'] = () => undefined;
    const seen = new Promise<Seen>((resolve) => (settle = resolve));
    const waiter: Waiter = { sought, patience, untilMs, seen, settle, wantsProgress: sought.position !== null };
    this.all.add(waiter);
    if (this.closing !== null) this.settle(waiter, PENDING);
    return waiter;
  }

  private settle(waiter: Waiter, seen: Seen): void {
    this.due.delete(waiter);
    if (this.all.delete(waiter)) waiter.settle(seen);
  }

  committed(commit: CommitHere): void {
    const waiting = this.waitingFor(new Set([commit.partition]));
    if (waiting.length === 0) return;
    const byId = groupById(commit.outcomes());
    for (const waiter of waiting) {
      const recorded = byId.get(waiter.sought.id);
      if (recorded !== undefined) this.tell(waiter, judge(waiter.sought, recorded, NOWHERE));
      else if (commit.others === 'some') this.lookAt(waiter);
    }
  }

  /** The payload names partitions. */
  private hinted(payload: string): void {
    for (const waiter of this.waitingFor(new Set(payload.split(',').map(Number)))) this.lookAt(waiter);
  }

  private waitingFor(partitions: ReadonlySet<number>): readonly Waiter[] {
    const waiting: Waiter[] = [];
    for (const waiter of this.all) {
      const { partition } = waiter.sought;
      if (partition === null || partitions.has(partition)) waiting.push(waiter);
    }
    return waiting;
  }

  private lookAtAll(progress: 'with-progress' | 'as-it-is'): void {
    for (const waiter of this.all) {
      if (progress === 'with-progress') waiter.wantsProgress = waiter.sought.position !== null;
      this.lookAt(waiter);
    }
  }

  private lookAt(waiter: Waiter): void {
    if (!this.all.has(waiter)) return;
    this.due.add(waiter);
    this.readSoon();
  }

  private readSoon(): void {
    this.reading ??= this.readWhileDue().finally(() => {
      this.reading = null;
      if (this.due.size > 0) this.readSoon();
    });
  }

  /** One read at a time; what becomes due meanwhile goes with the next one. */
  private async readWhileDue(): Promise<void> {
    await Promise.resolve();
    while (this.due.size > 0) {
      const batch = [...this.due].slice(0, this.limits.readIds);
      for (const waiter of batch) this.due.delete(waiter);
      await this.readFor(batch);
    }
  }

  /** Progress first, outcomes second: what the lane had passed then has its outcome in the second read. */
  private async readFor(batch: readonly Waiter[]): Promise<void> {
    const { database } = this.given;
    const isLarge = batch.length > SMALL_READ;
    const curious = batch.filter((waiter) => isLarge || waiter.wantsProgress).map((waiter) => waiter.sought.partition);
    try {
      const reached = await readReached(database, curious);
      const worthReading = isLarge ? batch.filter((waiter) => !canSkip(waiter, reached)) : batch;
      const ids = [...new Set(worthReading.map((waiter) => waiter.sought.id))];
      const byId = groupById(await readOutcomes(database, ids));
      for (const waiter of batch) this.tell(waiter, judge(waiter.sought, byId.get(waiter.sought.id) ?? [], reached));
    } catch (thrown) {
      // Waiters wait on: the next poll, or the listener when it is connected again, looks anew.
      const seen: Seen = { kind: 'away', cause: asError(thrown) };
      for (const waiter of batch) if (waiter.patience === 'one-look') this.settle(waiter, seen);
    }
  }

  private tell(waiter: Waiter, seen: Seen): void {
    const isFinal = seen.kind === 'outcome' || seen.kind === 'id-reused';
    waiter.wantsProgress = false;
    if (isFinal || waiter.patience === 'one-look') this.settle(waiter, seen);
  }

  private async tick(): Promise<void> {
    const { clock } = this.given;
    let pollMs = clock.monotonicMs() + this.limits.pollMs;
    while (!this.stop.signal.aborted) {
      await clock.sleep(TICK_MS, this.stop.signal);
      const nowMs = clock.monotonicMs();
      for (const waiter of this.all) if (waiter.untilMs <= nowMs) this.settle(waiter, PENDING);
      if (nowMs < pollMs) continue;
      pollMs = nowMs + this.limits.pollMs;
      this.lookAtAll('with-progress');
    }
  }
}

/** From this many on, it is cheaper to ask first how far the lanes are than to look for outcomes that cannot be there. */
const SMALL_READ = 20;
const NOWHERE: Reached = new Map();
const PENDING: Seen = { kind: 'pending' };

/** A repeat may have its outcome before the lane comes to it again, but who waits for that can wait until it does. */
function canSkip(waiter: Waiter, reached: Reached): boolean {
  return waiter.patience === 'until-outcome' && isAhead(waiter.sought, reached);
}

function groupById(recorded: readonly RecordedOutcome[]): ReadonlyMap<CommandId, readonly RecordedOutcome[]> {
  const groups = new Map<CommandId, RecordedOutcome[]>();
  for (const each of recorded) {
    const group = groups.get(each.id);
    if (group === undefined) groups.set(each.id, [each]);
    else group.push(each);
  }
  return groups;
}

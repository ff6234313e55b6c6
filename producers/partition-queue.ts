// Owns one partition's way out: what waits, what is in flight, and what must be published again before anything later.
import type { Position, ResourceKey } from '../shared/command/identity.ts';
import type { PublishResult } from '../shared/transport/transport.ts';
import type { OutageWords } from './outage-words.ts';
import type { Sealed } from './seal.ts';

/** What became of one submission. `not-accepted` and `not-attempted`: certainly not stored. */
export type Submission =
  | { readonly kind: 'accepted'; readonly position: Position | null }
  | { readonly kind: 'not-accepted'; readonly reason: string; readonly retry: 'later' | 'useless' }
  /** May have been stored, and is published again until that is certain. Repeat with the same id. */
  | { readonly kind: 'outcome-unknown'; readonly cause: Error }
  /** An earlier command of the same series and resource was not stored. */
  | { readonly kind: 'not-attempted' }
  | { readonly kind: 'refused-busy' }
  /** Certainly not stored: as many commands as may be are parked for its resource. */
  | { readonly kind: 'resource-held' };

/** Commands of one request, whose order within a resource must not be broken by a gap. */
export interface Series {
  /** Resources of which nothing more is taken: one of their commands was not accepted. */
  readonly closed: Set<ResourceKey>;
  /** Of these, those of which a command in the queue was not accepted: what stands behind it there must not go out. */
  readonly broken: Set<ResourceKey>;
}

export function openSeries(): Series {
  return { closed: new Set(), broken: new Set() };
}

export interface Held {
  readonly sealed: Sealed;
  readonly series: Series | null;
  readonly sinceMs: number;
  /** Called once, with the first thing that is known; null after that. */
  answer: ((submission: Submission) => void) | null;
  /** An earlier publish of it ended unknown. */
  maybeStored: boolean;
}

export interface QueueLimits {
  readonly batchEntries: number;
  readonly batchBytes: number;
  /** How long a publish that failed is retried before its callers are answered. */
  readonly graceMs: number;
  /** How long a publish may be in flight, and an entry may wait, before its callers are answered. */
  readonly flightMs: number;
}

/**
 * States:
 * - flowing: the last publish went well. Entries are taken in order, one publish in flight.
 * - retrying: the last publish failed. `again` goes first, with back-off; what comes queues behind. After graceMs: stuck.
 * - stuck: every caller has been answered; only entries that may have been stored remain, and are published again for as long as
 *   it takes. New entries are refused, but for one probe at a time when nothing remains. A publish that goes well: flowing.
 */
export class PartitionQueue {
  private readonly limits: QueueLimits;
  private readonly onAnswered: (entry: Held) => void;
  private readonly words: OutageWords;
  private waiting: Held[] = [];
  private again: Held[] = [];
  private flight: { readonly entries: readonly Held[]; readonly sinceMs: number } | null = null;
  private failingSinceMs: number | null = null;
  private stuck = false;
  private dueMs = 0;
  /** Publishes that failed in a row. */
  failures = 0;

  /** `onAnswered`: its caller knows; it no longer counts as in flight, also if it has to be published again. */
  constructor(limits: QueueLimits, words: OutageWords, onAnswered: (entry: Held) => void) {
    this.limits = limits;
    this.words = words;
    this.onAnswered = onAnswered;
  }

  isStuck(): boolean {
    return this.stuck;
  }

  isEmpty(): boolean {
    return this.flight === null && this.again.length === 0 && this.waiting.length === 0;
  }

  isReady(nowMs: number): boolean {
    if (this.flight !== null || nowMs < this.dueMs) return false;
    return this.again.length > 0 || this.waiting.length > 0;
  }

  /** Whether an entry may be added now; when stuck, only as the next probe. */
  takesMore(nowMs: number): boolean {
    return !this.stuck || (this.isEmpty() && nowMs >= this.dueMs);
  }

  add(entry: Held): void {
    this.waiting.push(entry);
  }

  /** The next publish: what must be repeated, alone; else what waits, within the limits. May be empty. */
  take(nowMs: number): readonly Held[] {
    const again = this.again.filter((entry) => entry.maybeStored || !this.isBroken(entry));
    const entries = again.length > 0 ? again : this.cut();
    this.again = [];
    if (entries.length > 0) this.flight = { entries, sinceMs: nowMs };
    return entries;
  }

  /** The end of the flight. Missing results count as unknown. */
  land(results: readonly PublishResult[], nowMs: number): void {
    const { entries, sinceMs } = this.flight ?? { entries: [], sinceMs: nowMs };
    this.flight = null;
    let isBehindRefused = false;
    for (const [at, entry] of entries.entries()) {
      const result = results[at] ?? MISSING;
      isBehindRefused ||= result.kind === 'refused';
      // Only a prefix is stored: what stands behind a refused entry was not stored, whatever else is known of it.
      const certain = isBehindRefused && result.kind === 'unknown' ? BEHIND_REFUSED : result;
      if (this.landOne(entry, certain) === 'again') this.again.push(entry);
    }
    if (this.again.length === 0) this.recover();
    else this.fail(sinceMs, nowMs);
  }

  private landOne(entry: Held, result: PublishResult): 'done' | 'again' {
    switch (result.kind) {
      case 'stored':
        this.answer(entry, { kind: 'accepted', position: result.position });
        return 'done';
      case 'unknown':
        entry.maybeStored = true;
        return 'again';
      case 'refused':
        if (result.retry) return 'again';
        this.answer(
          entry,
          entry.maybeStored
            ? this.words.unknownAfterRetries
            : refusalOf(entry, { kind: 'not-accepted', reason: result.reason, retry: 'useless' }),
        );
        return 'done';
    }
  }

  private recover(): void {
    this.failures = 0;
    this.failingSinceMs = null;
    this.stuck = false;
    this.dueMs = 0;
  }

  private fail(sinceMs: number, nowMs: number): void {
    this.failures += 1;
    this.failingSinceMs ??= sinceMs;
    this.tick(nowMs);
  }

  /** Not before this time, unless `hurry` is called. */
  backOffUntil(dueMs: number): void {
    this.dueMs = dueMs;
  }

  hurry(): void {
    this.dueMs = 0;
  }

  /** Answers whoever has waited for too long. */
  tick(nowMs: number): void {
    const isFailing = this.failingSinceMs !== null && nowMs - this.failingSinceMs >= this.limits.graceMs;
    const isHanging = this.flight !== null && nowMs - this.flight.sinceMs >= this.limits.flightMs;
    if (isHanging || (isFailing && !this.stuck)) this.giveUp();
    else if (this.stuck && this.again.length > 0) this.answerRest();
  }

  /** Every caller is answered; what may have been stored stays, to be published again. */
  giveUp(): void {
    this.stuck = true;
    for (const entry of this.flight?.entries ?? []) {
      entry.maybeStored = true;
      this.answer(entry, this.words.unknownInFlight);
    }
    this.answerRest();
  }

  private answerRest(): void {
    // What stands before an entry that is published again goes with it: dropped, it could only come back in the wrong order.
    const kept = this.again.slice(0, this.again.findLastIndex((entry) => entry.maybeStored) + 1);
    for (const entry of kept) {
      entry.maybeStored = true;
      this.answer(entry, this.words.unknownAfterRetries);
    }
    const dropped = [...this.again.slice(kept.length), ...this.waiting];
    for (const entry of dropped) this.answer(entry, refusalOf(entry, this.words.away));
    this.again = kept;
    this.waiting = [];
  }

  /** Answers an entry whose series has a gap before it. */
  private isBroken(entry: Held): boolean {
    const isBroken = entry.series?.broken.has(entry.sealed.key) === true;
    if (isBroken) this.answer(entry, { kind: 'not-attempted' });
    return isBroken;
  }

  private answer(entry: Held, submission: Submission): void {
    const { answer } = entry;
    if (answer === null) return;
    entry.answer = null;
    if (submission.kind !== 'accepted') {
      entry.series?.closed.add(entry.sealed.key);
      entry.series?.broken.add(entry.sealed.key);
    }
    this.onAnswered(entry);
    answer(submission);
  }

  private cut(): readonly Held[] {
    const taken: Held[] = [];
    let bytes = 0;
    let at = 0;
    for (; at < this.waiting.length && taken.length < this.limits.batchEntries; at++) {
      const entry = this.waiting[at];
      if (entry === undefined) break;
      if (this.isBroken(entry)) continue;
      bytes += entry.sealed.bytes.length;
      if (taken.length > 0 && bytes > this.limits.batchBytes) break;
      taken.push(entry);
    }
    this.waiting = this.waiting.slice(at);
    return taken;
  }
}

const MISSING: PublishResult = { kind: 'unknown', cause: new Error('the transport gave no result for this entry') };
const BEHIND_REFUSED: PublishResult = {
  kind: 'refused',
  reason: 'an earlier entry of this partition was refused',
  retry: true,
};

/** The first of a resource in a series says why; those after it were not attempted. */
function refusalOf(entry: Held, refusal: Submission): Submission {
  return entry.series?.broken.has(entry.sealed.key) === true ? { kind: 'not-attempted' } : refusal;
}

// Owns submitting: sealed commands become micro-batches, one publish in flight per partition, and every caller learns the truth.
import type { Partition, ResourceKey } from '../shared/command/identity.ts';
import type { Observe } from '../shared/process/events.ts';
import { backoffMs, inTime, type Clock, type Random } from '../shared/process/time.ts';
import type { PublishResult, Transport } from '../shared/transport/transport.ts';
import { outageWords, type OutageWords } from './outage-words.ts';
import { PartitionQueue, type Held, type QueueLimits, type Series, type Submission } from './partition-queue.ts';
import { causeOf, emptyCall, withPart, type PublishCall } from './publish-call.ts';
import { openPublisherLink, type PublisherLink } from './publisher-link.ts';
import { openSeal, type Seal, type Sealed, type SealGiven } from './seal.ts';

export interface SubmitLimits extends QueueLimits {
  /** Commands held at a time, and their bytes; past it a submission is refused. */
  readonly inFlightEntries: number;
  readonly inFlightBytes: number;
  /** Of one call to the publisher, over all its partitions. */
  readonly callEntries: number;
  readonly callBytes: number;
  /** Calls at a time, over all partitions: what waits meanwhile goes together. */
  readonly calls: number;
}

export const SUBMIT_LIMITS: SubmitLimits = {
  batchEntries: 1_000,
  batchBytes: 1024 * 1024,
  graceMs: 1_000,
  flightMs: 5_000,
  inFlightEntries: 20_000,
  inFlightBytes: 64 * 1024 * 1024,
  callEntries: 4_000,
  callBytes: 4 * 1024 * 1024,
  calls: 1,
};

export interface SubmitterGiven {
  readonly transport: Pick<Transport, 'openPublisher' | 'traits'>;
  readonly types: SealGiven['types'];
  readonly system: SealGiven['system'];
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  /** Resources that take nothing more until an operator has repaired them. */
  readonly fullHolds: { has(key: ResourceKey): boolean };
  readonly limits?: Partial<SubmitLimits>;
}

export interface Submitter {
  readonly seal: Seal;
  /** Never rejects. Order: two calls for one resource are published in the order of the calls. */
  submit(sealed: Sealed): Promise<Submission>;
  /** The same for one of a series; waits for room (backpressure) instead of being refused-busy. `answer` is called once. */
  submitNext(sealed: Sealed, series: Series, answer: (submission: Submission) => void): Promise<void> | undefined;
  /** Whether a publisher is open and at least one partition takes commands. */
  canPublish(): boolean;
  held(): { readonly entries: number; readonly bytes: number };
  /** Resolves when the first attempt to reach the broker has ended, well or not. */
  readonly firstAttempt: Promise<void>;
  /** Takes nothing more; publishes what it holds until the deadline; answers everybody. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

const TICK_MS = 50;
/** A call that takes longer no longer counts against the bound: what waits for a slow disk, or a dead broker, need not wait for others. */
const SLOW_CALL_MS = 2;
const CLOSE_MS_MIN = 100;
const RETRY = { firstMs: 50, maxMs: 1_000 };
/** The part of the bound that series may fill: single submissions always find room beside a big upload. */
const SERIES_SHARE = 0.75;

export function openSubmitter(given: SubmitterGiven): Submitter {
  return new Dispatcher(given);
}

class Dispatcher implements Submitter {
  readonly seal: Seal;
  private readonly given: SubmitterGiven;
  private readonly limits: SubmitLimits;
  private readonly words: OutageWords;
  private readonly queues: readonly PartitionQueue[];
  private readonly link: PublisherLink;
  private readonly stop = new AbortController();
  private readonly ticking: Promise<void>;
  private entries = 0;
  private bytes = 0;
  private readonly calls = new Set<PublishCall>();
  private flushing = false;
  private closing: Promise<void> | null = null;
  private first = 0;
  private readonly roomSeekers: (() => void)[] = [];

  constructor(given: SubmitterGiven) {
    this.given = given;
    this.limits = { ...SUBMIT_LIMITS, ...given.limits };
    this.words = outageWords(given.transport.traits.carriedBy);
    this.seal = openSeal({ types: given.types, system: given.system, now: () => given.clock.now() });
    const answered = (entry: Held) => {
      this.forget(entry);
    };
    this.queues = Array.from(
      { length: given.system.partitions },
      () => new PartitionQueue(this.limits, this.words, answered),
    );
    this.link = openPublisherLink({
      ...given,
      onOpen: () => {
        this.hurry();
      },
    });
    this.ticking = this.tick();
  }

  get firstAttempt(): Promise<void> {
    return this.link.firstAttempt;
  }

  submit(sealed: Sealed): Promise<Submission> {
    if (!this.hasRoom(1)) return Promise.resolve({ kind: 'refused-busy' });
    return new Promise((resolve) => {
      this.add(sealed, null, resolve);
    });
  }

  submitNext(sealed: Sealed, series: Series, answer: (submission: Submission) => void): Promise<void> | undefined {
    if (this.hasRoom(SERIES_SHARE) || this.closing !== null) {
      this.add(sealed, series, answer);
      return undefined;
    }
    return this.room().then(() => this.submitNext(sealed, series, answer));
  }

  canPublish(): boolean {
    return (
      this.closing === null &&
      this.link.isOpen() &&
      this.queues.some((queue) => queue.takesMore(this.given.clock.monotonicMs()))
    );
  }

  held(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.entries, bytes: this.bytes };
  }

  close(deadlineMs: number): Promise<void> {
    this.closing ??= this.drain(deadlineMs);
    return this.closing;
  }

  private async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.given;
    const untilMs = clock.monotonicMs() + deadlineMs;
    this.wakeSeekers();
    while (!this.queues.every((queue) => queue.isEmpty()) && clock.monotonicMs() < untilMs) await clock.sleep(5);
    this.stop.abort();
    for (const queue of this.queues) queue.giveUp();
    // A publisher that hangs is abandoned with the process; everybody has been answered.
    const leftMs = Math.max(CLOSE_MS_MIN, untilMs - clock.monotonicMs());
    await inTime(Promise.all([this.ticking, this.link.close()]), leftMs, clock);
  }

  private add(sealed: Sealed, series: Series | null, answer: (submission: Submission) => void): void {
    const queue = this.queueOf(sealed.partition);
    const nowMs = this.given.clock.monotonicMs();
    if (series?.closed.has(sealed.key) === true) {
      answer({ kind: 'not-attempted' });
    } else if (this.given.fullHolds.has(sealed.key)) {
      series?.closed.add(sealed.key);
      answer({ kind: 'resource-held' });
    } else if (this.closing !== null || !queue.takesMore(nowMs)) {
      series?.closed.add(sealed.key);
      answer(this.closing === null ? this.words.away : STOPPING);
    } else {
      this.entries += 1;
      this.bytes += sealed.bytes.length;
      queue.add({ sealed, series, sinceMs: nowMs, answer, maybeStored: false });
      this.flushSoon();
    }
  }

  private queueOf(partition: Partition): PartitionQueue {
    const queue = this.queues[partition];
    if (queue === undefined) throw new RangeError(`partition ${partition} of ${this.queues.length}`);
    return queue;
  }

  private hasRoom(share: number): boolean {
    return this.entries < this.limits.inFlightEntries * share && this.bytes < this.limits.inFlightBytes * share;
  }

  private room(): Promise<void> {
    return new Promise((resolve) => this.roomSeekers.push(resolve));
  }

  private forget(entry: Held): void {
    this.entries -= 1;
    this.bytes -= entry.sealed.bytes.length;
    if (this.roomSeekers.length > 0 && this.hasRoom(SERIES_SHARE)) this.wakeSeekers();
  }

  private wakeSeekers(): void {
    for (const wake of this.roomSeekers.splice(0)) wake();
  }

  /** After the I/O of this turn, so that what arrived together goes together. */
  private flushSoon(): void {
    if (this.flushing) return;
    this.flushing = true;
    setImmediate(() => {
      this.flushing = false;
      this.flush();
    });
  }

  private flush(): void {
    const nowMs = this.given.clock.monotonicMs();
    let room = this.limits.calls - [...this.calls].filter((call) => nowMs - call.sinceMs < SLOW_CALL_MS).length;
    let call = emptyCall(nowMs);
    for (const queue of this.rotated()) {
      if (room <= 0) break;
      if (!queue.isReady(nowMs)) continue;
      // One that fails may take long to fail again: it goes by itself, and holds up nobody.
      if (queue.failures > 0) {
        const entries = queue.take(nowMs);
        if (entries.length > 0) this.send(withPart(emptyCall(nowMs), { queue, entries }));
        continue;
      }
      call = withPart(call, { queue, entries: queue.take(nowMs) });
      if (call.entries < this.limits.callEntries && call.bytes < this.limits.callBytes) continue;
      this.send(call);
      call = emptyCall(nowMs);
      room -= 1;
    }
    if (call.entries > 0) this.send(call);
  }

  /** Another partition goes first each time, so that none starves behind the bound on calls. */
  private rotated(): readonly PartitionQueue[] {
    this.first = (this.first + 1) % this.queues.length;
    return [...this.queues.slice(this.first), ...this.queues.slice(0, this.first)];
  }

  private send(call: PublishCall): void {
    this.calls.add(call);
    const batch = call.parts.flatMap((part) => part.entries.map((entry) => entry.sealed));
    // publish never rejects; what lands late, after close, changes nothing any more.
    void this.given.clock.sleep(SLOW_CALL_MS).then(() => {
      if (this.calls.has(call)) this.flushSoon();
    });
    void this.link.publish(batch).then((results) => {
      this.calls.delete(call);
      this.land(call, results);
    });
  }

  private land(call: PublishCall, results: readonly PublishResult[]): void {
    const nowMs = this.given.clock.monotonicMs();
    let at = 0;
    for (const { queue, entries } of call.parts) {
      const own = results.slice(at, at + entries.length);
      at += entries.length;
      queue.land(own, nowMs);
      if (queue.failures > 0) this.backOff(queue, own);
    }
    this.flushSoon();
  }

  private backOff(queue: PartitionQueue, results: readonly PublishResult[]): void {
    const { clock, random, observe } = this.given;
    queue.backOffUntil(clock.monotonicMs() + backoffMs(queue.failures, random, RETRY));
    observe({
      kind: 'publish-failed',
      partition: this.queues.indexOf(queue),
      entries: results.filter((each) => each.kind !== 'stored').length,
      attempt: queue.failures,
      cause: causeOf(results),
    });
  }

  /** The broker is back: nobody waits for a back-off that began before. */
  private hurry(): void {
    for (const queue of this.queues) queue.hurry();
    this.flushSoon();
  }

  private async tick(): Promise<void> {
    const { clock } = this.given;
    while (!this.stop.signal.aborted) {
      await clock.sleep(TICK_MS, this.stop.signal);
      const nowMs = clock.monotonicMs();
      for (const queue of this.queues) queue.tick(nowMs);
      if (this.queues.some((queue) => queue.isReady(nowMs))) this.flushSoon();
    }
  }
}

const STOPPING: Submission = { kind: 'not-accepted', reason: 'this process is stopping', retry: 'later' };

// Owns a lane over a queue: messages become entries in its inbox, and are acked when what they hold is settled and stamped.
import type { ConsumeMessage } from 'amqplib';
import type { Delivery } from '../../command/entry.ts';
import type { Partition, Position, Uuid } from '../../command/identity.ts';
import { invariant, type OnelaneError } from '../../process/errors.ts';
import { sleepUntilWoken, type Clock, type Random } from '../../process/time.ts';
import { Inbox, type InboxBudget } from '../inbox.ts';
import type { Hold } from '../lane-roster.ts';
import type { LogDiverged } from '../log-diverged.ts';
import { foreignSystem, isForeign } from '../resume-check.ts';
import type { Lane, Resume } from '../transport.ts';
import { AppendTimes } from './append-times.ts';
import type { BrokerConnection } from './client.ts';
import type { ConnectionSlot } from './connection-slot.ts';
import { DeliveryWindow } from './delivery-window.ts';
import { pageOf, readMessage, type Incoming } from './incoming.ts';
import { LaneReader } from './lane-reader.ts';
import { LaneStamps } from './lane-stamps.ts';
import { Prefetch, PREFETCH_FIRST, PREFETCH_MAX } from './prefetch.ts';
import { checkStamp } from './stamp-check.ts';
import type { Stamp } from './stamps.ts';

/** Entries read ahead: a few batches. */
const AHEAD_ENTRIES_MAX = 20_000;
/** A lane that was lost may finish, settle and be released in this time; then its channel is closed over its head. */
const LOST_GRACE_MS = 1_000;

export interface RabbitLaneGiven {
  readonly slot: ConnectionSlot;
  readonly queue: string;
  readonly stampQueue: string;
  readonly systemId: Uuid;
  readonly budget: InboxBudget;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly readStamp: (connection: BrokerConnection, stamp: 'expected' | 'not-expected') => Promise<Stamp | null>;
  readonly writeStamp: (stamp: Stamp, stop: AbortSignal) => Promise<void>;
  readonly canStamp: () => boolean;
  readonly onRead: (entries: number) => void;
  readonly warn: (detail: string) => void;
  /** The lane must begin anew: `lost` aborts. */
  readonly lose: (reason: string) => void;
  readonly onReleased: (lane: RabbitLane) => void;
  readonly clock: Clock;
  readonly random: Random;
}

const NO_STAMP = { epoch: null, head: null, appendedAt: new Date(0) } as const;

export class RabbitLane implements Lane {
  readonly partition: Partition;
  readonly lost: AbortSignal;
  readonly #hold: Hold;
  readonly #given: RabbitLaneGiven;
  readonly #inbox: Inbox;
  readonly #reader: LaneReader;
  readonly #prefetch: Prefetch;
  /** null before the start. */
  #window: DeliveryWindow | null = null;
  /** Positions handed out end here. */
  #handedTo = 0;
  readonly #times = new AppendTimes();
  /** Bytes of the message for which there was no room: the channel is closed until there is. */
  #noRoomFor: number | null = null;
  #away: OnelaneError | null = null;
  /** null before the start. */
  #stamps: LaneStamps | null = null;
  /** What stamps say of the channel's prefetch. */
  #promised = PREFETCH_FIRST;
  #isGrowing = false;
  /** An entry that must not be delivered, nor anything after it. */
  #foreign: LogDiverged | null = null;
  /** Aborts when the lane is released, or was lost for too long: nothing is waited for any more. */
  readonly #over = new AbortController();
  #releasing: Promise<void> | null = null;
  #wakeNext: (() => void) | null = null;

  constructor(hold: Hold, given: RabbitLaneGiven) {
    this.partition = hold.partition;
    this.lost = hold.lost;
    this.#hold = hold;
    this.#given = given;
    this.#inbox = new Inbox(given.budget);
    this.#prefetch = new Prefetch(given.clock);
    this.#reader = new LaneReader({
      ...given,
      onMessage: (message) => this.#received(message),
      onBroken: () => {
        this.#window?.broken();
        this.#prefetch.broken();
      },
      onOpened: (prefetch) => {
        if (!this.#isGrowing) this.#promised = prefetch;
      },
      onAway: (cause) => {
        this.#away = cause;
        this.#wake();
      },
    });
    if (this.lost.aborted) void this.#endSoon();
    else this.lost.addEventListener('abort', () => void this.#endSoon(), { once: true });
  }

  /** The positions go on from those that the database knows of: two entries of a partition seldom share one. */
  async start(at: Resume): Promise<void> {
    const { systemId } = this.#given;
    const stamp = await this.#stampOf(at.commits > 0n ? 'expected' : 'not-expected');
    // Of a lane that was lost meanwhile a successor may have written it, who knows of a later claim.
    if (!this.lost.aborted)
      checkStamp(stamp, { ...this.#given, partition: this.partition, commits: at.commits, epoch: at.epoch });
    const next = Number(at.next ?? 0n);
    this.#window = new DeliveryWindow({ next, earlier: stamp?.head ?? null, remembered: PREFETCH_MAX });
    this.#handedTo = next;
    // Without a stamp nobody says what an earlier channel had unacked; before the first commit none had more than the first.
    this.#promised = stamp?.prefetch ?? (at.commits > 0n ? PREFETCH_MAX : PREFETCH_FIRST);
    this.#stamps = new LaneStamps(
      stamp ?? { ...NO_STAMP, system: systemId, commits: at.commits, prefetch: this.#promised },
      {
        ...this.#given,
        epoch: at.epoch ?? stamp?.epoch ?? null,
        write: (newest, stop) => this.#given.writeStamp(newest, stop),
        prefetch: () => this.#promised,
        isConnected: () => this.#given.canStamp(),
        onStamped: (settledTo) => this.#stamped(settledTo),
        lost: this.lost,
        over: this.#over.signal,
      },
    );
    // A channel that is opened now might outlive the lease, and would keep the successor waiting.
    if (this.lost.aborted) return;
    await this.#reader.open(PREFETCH_FIRST, this.#promised);
  }

  async next(limit: {
    readonly count: number;
    readonly bytes: number;
    readonly waitMs: number;
  }): Promise<readonly Delivery[]> {
    invariant(this.#window !== null, 'a lane is started before it is read');
    const until = this.#given.clock.monotonicMs() + limit.waitMs;
    for (;;) {
      if (this.lost.aborted) return [];
      const batch = this.#inbox.take(limit);
      this.#handedTo = Number(batch.at(-1)?.position ?? this.#handedTo - 1) + 1;
      this.#readOn(this.#window, batch.length > 0 && batch.length < limit.count);
      if (batch.length > 0) return batch;
      if (this.#foreign !== null) throw this.#foreign;
      const restMs = until - this.#given.clock.monotonicMs();
      if (restMs <= 0 && this.#away !== null) throw this.#away;
      if (restMs <= 0) return [];
      await this.#change(Math.min(restMs, this.#prefetch.patienceMs()));
    }
  }

  /** The broker may forget a message only after the stamp that stands for it is safe. */
  async settle(through: Position, commits: bigint): Promise<void> {
    const window = this.#window;
    if (window?.settle(Number(through) + 1) !== true) return;
    const { settledTo } = window;
    await this.#stamps?.settled({ commits, head: window.head(), appendedAt: this.#times.at(settledTo - 1) }, settledTo);
  }

  release(): Promise<void> {
    return (this.#releasing ??= this.#release());
  }

  /** Entries that this lane alone knows of; null while its channel is closed: they count as waiting in the queue then. */
  get inHand(): number | null {
    return this.#reader.prefetch === null ? null : (this.#window?.unsettled ?? 0);
  }

  async #release(): Promise<void> {
    this.#over.abort();
    await this.#reader.rest();
    this.#window = null;
    this.#inbox.clear();
    this.#given.onReleased(this);
    this.#hold.release();
  }

  /** Whatever holds up its holder, nobody else is to wait for it. */
  async #endSoon(): Promise<void> {
    this.#wake();
    await this.#given.clock.sleep(LOST_GRACE_MS, this.#over.signal);
    this.#over.abort();
    await this.#reader.rest();
  }

  #stamped(settledTo: number): void {
    const window = this.#window;
    if (window === null) return;
    window.stamped(settledTo);
    const tag = window.ackable();
    if (tag !== null) this.#reader.ack(tag);
    this.#wake();
  }

  async #stampOf(expected: 'expected' | 'not-expected'): Promise<Stamp | null> {
    const { slot, readStamp, explain } = this.#given;
    try {
      return await readStamp(await slot.get(), expected);
    } catch (thrown) {
      throw explain(thrown);
    }
  }

  #received(message: ConsumeMessage): void {
    const window = this.#window;
    if (window === null || this.#noRoomFor !== null || this.lost.aborted) return;
    const { systemId, clock } = this.#given;
    const incoming = readMessage(message, { system: systemId, nowMs: clock.now().getTime() });
    const { count: entries } = incoming.bodies;
    if (!this.#hasRoomFor(window, incoming, message.content.length)) return;
    const received = window.received(incoming.key, entries, message.fields.deliveryTag);
    switch (received.kind) {
      case 'new':
        this.#given.onRead(entries);
        this.#prefetch.received(message.content.length);
        this.#take(incoming, received);
        break;
      case 'again':
        break;
      case 'torn':
        this.#given.lose('the queue does not go on where its channel ended: somebody else has read it');
        return;
    }
    // What was settled already, by this lane or one before it, need not come again.
    const tag = window.ackable();
    if (tag !== null) this.#reader.ack(tag);
    this.#wake();
  }

  #hasRoomFor(window: DeliveryWindow, incoming: Incoming, bytes: number): boolean {
    if (window.isDue(incoming.key, incoming.bodies.count)) return true;
    if (this.#inbox.entries < AHEAD_ENTRIES_MAX && this.#inbox.hasRoomFor(bytes)) return true;
    // Nothing that comes behind it on this channel is taken either: all of it will come again.
    this.#noRoomFor = bytes;
    this.#prefetch.overflowed(window.countFrom(this.#handedTo), this.#reader.prefetch ?? this.#promised);
    void this.#reader.rest();
    return false;
  }

  #take(incoming: Incoming, { first, skip }: { readonly first: number; readonly skip: number }): void {
    const appendedAt = this.#times.received(first, incoming.appendedMs);
    const page = pageOf(incoming, { first, skip, appendedAt });
    // All entries of a message have its headers.
    if (page.count === 0 || !isForeign(incoming.headers, this.#given.systemId)) {
      this.#inbox.pushPage(page);
      return;
    }
    this.#foreign ??= foreignSystem(this.partition, page.at(0));
    void this.#reader.rest();
  }

  /** Opens the channel anew when there is room again, or when another count of messages suits better. */
  #readOn(window: DeliveryWindow, wasShort: boolean): void {
    if (this.#foreign !== null) return;
    if (this.#noRoomFor !== null) {
      const isHalfEmpty = this.#inbox.entries <= AHEAD_ENTRIES_MAX / 2 && this.#inbox.hasRoomFor(this.#noRoomFor);
      if (!isHalfEmpty || !this.#prefetch.isDrained(window.countFrom(this.#handedTo))) return;
      this.#noRoomFor = null;
      this.#reader.openSoon(PREFETCH_FIRST);
      return;
    }
    const { prefetch } = this.#reader;
    if (prefetch === null || window.awaitsRedelivery || this.#isGrowing) return;
    const inHand = window.countFrom(window.settledTo);
    const wanted = this.#prefetch.next({ inHand, waiting: this.#inbox.entries, wasShort }, prefetch);
    if (wanted === null) return;
    if (wanted > prefetch) void this.#grow(wanted);
    // What is not acked would come again, and the next channel might have no fewer.
    else if (!window.hasUnacked) this.#reader.openSoon(wanted);
  }

  /** Whoever comes after must know of it before it is so. Never rejects. */
  async #grow(prefetch: number): Promise<void> {
    this.#isGrowing = true;
    this.#promised = prefetch;
    try {
      await this.#stamps?.again();
      if (!this.#over.signal.aborted && this.#noRoomFor === null && this.#foreign === null)
        this.#reader.openSoon(prefetch);
    } catch {
      // It stays as it was, and is tried again when there is hunger.
    } finally {
      this.#isGrowing = false;
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

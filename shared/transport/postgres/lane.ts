// Owns a lane over the log in PostgreSQL: it reads ahead into its inbox while its holder works.
import type { Delivery } from '../../command/entry.ts';
import { position, type Partition, type Position, type Uuid } from '../../command/identity.ts';
import { asError, invariant } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import { sleepUntilWoken, type Clock } from '../../process/time.ts';
import { Inbox, type InboxBudget } from '../inbox.ts';
import type { Hold } from '../lane-roster.ts';
import type { LogDiverged } from '../log-diverged.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import { countOwn, foreignSystem, startingPosition } from '../resume-check.ts';
import type { Lane, Resume } from '../transport.ts';
import type { Appended } from './append.ts';
import type { LogClients } from './clients.ts';
import { readPage, readView, type Anchor, type Page, type PageStatements } from './page.ts';

/** Read ahead until so many entries wait: a few batches. */
const AHEAD_ENTRIES_MIN = 2_000;
const PAGE_BYTES_MAX = 1024 * 1024;
const READ_GRACE_MS = 1_000;

export interface PostgresLaneGiven {
  readonly clients: LogClients;
  readonly statements: PageStatements;
  readonly budget: InboxBudget;
  readonly systemId: Uuid;
  readonly clock: Clock;
  readonly observe: Observe;
  /** A hint; returns at once. */
  readonly onSettled: (partition: Partition, through: Position) => void;
  /** The lane must begin anew: `lost` aborts. */
  readonly lose: (partition: Partition) => void;
  readonly onReleased: (lane: PostgresLane) => void;
}

// What a lane knows of the log's end:
//   behind     there may be more; reading goes on while the inbox has room
//   caught-up  nothing more when it was last read; a hint of a later position makes it `behind`
// A read that was under way when the timeline became doubtful is thrown away (`#timeline` counts these).
export class PostgresLane implements Lane {
  readonly partition: Partition;
  readonly lost: AbortSignal;
  readonly #hold: Hold;
  readonly #given: PostgresLaneGiven;
  readonly #inbox: Inbox;
  #knows: 'behind' | 'caught-up' = 'behind';
  /** A hint came while a page was being read. */
  #hinted = false;
  /** The next segment did not fit into what may be read ahead; reset when something was handed out. */
  #isFull = false;
  #started = false;
  #timeline = 0;
  /** Position to deliver next, and to read next. */
  #due = 0;
  #ahead = 0;
  /** Segments read, from the one that was delivered last on. */
  #anchors: Anchor[] = [];
  #reading: Promise<void> | null = null;
  /** Why the last read failed; told once, then the next call reads again. */
  #fault: Error | null = null;
  /** An entry that must not be delivered, nor anything after it. */
  #foreign: LogDiverged | null = null;
  #wakeNext: (() => void) | null = null;

  constructor(hold: Hold, given: PostgresLaneGiven) {
    this.partition = hold.partition;
    this.lost = hold.lost;
    this.#hold = hold;
    this.#given = given;
    this.#inbox = new Inbox(given.budget);
  }

  async start(at: Resume): Promise<void> {
    const wanted = { partition: this.partition, lastApplied: at.last?.position ?? null };
    const view = await this.#given.clients.use((client) => readView(client, this.#given.statements, wanted));
    if (view === null) throw new LogPartitionsDiffer(0, this.partition + 1);
    this.#due = Number(startingPosition(at, view.log));
    this.#ahead = this.#due;
    this.#anchors = view.anchor === null ? [] : [view.anchor];
    this.#started = true;
    // What the holders before settled may be due to be forgotten.
    if (at.last !== null) this.#given.onSettled(this.partition, at.last.position);
    this.#readAhead();
  }

  async next(limit: {
    readonly count: number;
    readonly bytes: number;
    readonly waitMs: number;
  }): Promise<readonly Delivery[]> {
    invariant(this.#started, 'a lane is started before it is read');
    const until = this.#given.clock.monotonicMs() + limit.waitMs;
    for (;;) {
      if (this.lost.aborted) return [];
      this.#throwFault();
      const batch = this.#inbox.take(limit);
      this.#delivered(batch.length);
      this.#readAhead();
      if (batch.length > 0) return batch;
      if (this.#foreign !== null) throw this.#foreign;
      // What is being read may have been there before the call: it is waited for a little longer.
      const restMs = until - this.#given.clock.monotonicMs() + (this.#reading === null ? 0 : READ_GRACE_MS);
      if (restMs <= 0) return [];
      await this.#change(restMs);
    }
  }

  settle(through: Position): Promise<void> {
    this.#given.onSettled(this.partition, through);
    return Promise.resolve();
  }

  /** A read that is still under way ends unheard; the subscription waits for it when it closes. */
  release(): Promise<void> {
    this.#timeline++;
    this.#started = false;
    this.#inbox.clear();
    this.#given.onReleased(this);
    this.#hold.release();
    return Promise.resolve();
  }

  /** Position that this lane would read next; null while it is reading anyway. */
  get readTo(): number | null {
    return this.#knows === 'caught-up' ? this.#ahead : null;
  }

  /**
   * Takes what this process has just appended behind all that was read, as if it had been read: the append saw the same entry before
   * it, to the microsecond, as a page would have. False when it must be read: it does not follow, or there is no room for it.
   */
  handOver({ first, entries, segments, stampUs, beforeUs }: Appended): boolean {
    const anchor = this.#anchors.at(-1);
    if (!this.#started || this.#knows !== 'caught-up' || this.#reading !== null || this.#fault !== null) return false;
    if (this.#foreign !== null || first !== this.#ahead || segments !== 1) return false;
    if (anchor?.lastPosition !== first - 1 || anchor.stampUs !== beforeUs) return false;
    if (this.#inbox.entries >= AHEAD_ENTRIES_MIN || !this.#inbox.hasRoomFor(bytesOf(entries))) return false;
    const appendedAt = new Date(stampUs / 1_000);
    const deliveries = entries.map(({ bytes, headers }, index) => {
      return { position: position(first + index), bytes, headers, appendedAt };
    });
    const end = { lastPosition: first + entries.length - 1, stampUs };
    this.#take({ kind: 'page', deliveries, anchor: end, isEnd: true, anchors: [end] });
    this.#wake();
    return true;
  }

  /** The log of this partition ends at `end`, or wherever (null). A hint: it may come late, twice, or not at all. */
  hint(end: number | null): void {
    if (end !== null && end <= this.#ahead) return;
    this.#knows = 'behind';
    this.#hinted = true;
    this.#readAhead();
  }

  /** A connection broke: the server may come back with an older log. What was not delivered is read again, and checked. */
  doubt(): void {
    this.#timeline++;
    this.#inbox.clear();
    this.#foreign = null;
    this.#isFull = false;
    this.#ahead = this.#due;
    this.#anchors = this.#anchors.slice(0, 1);
    this.#knows = 'behind';
  }

  #delivered(entries: number): void {
    this.#isFull = false;
    this.#due += entries;
    const delivered = this.#due - 1;
    while ((this.#anchors[0]?.lastPosition ?? delivered) < delivered && this.#anchors.length > 1) this.#anchors.shift();
  }

  #throwFault(): void {
    const fault = this.#fault;
    this.#fault = null;
    if (fault === null) return;
    this.#readAhead();
    throw fault;
  }

  #readAhead(): void {
    if (this.#reading !== null || !this.#wantsMore()) return;
    this.#reading = this.#readOn().finally(() => {
      this.#reading = null;
      this.#wake();
    });
  }

  #wantsMore(): boolean {
    if (!this.#started || this.lost.aborted || this.#fault !== null || this.#foreign !== null) return false;
    if (this.#knows === 'caught-up' || this.#inbox.entries >= AHEAD_ENTRIES_MIN) return false;
    return this.#inbox.hasRoom && !this.#isFull;
  }

  /** Never rejects. */
  async #readOn(): Promise<void> {
    while (this.#wantsMore()) {
      const timeline = this.#timeline;
      this.#hinted = false;
      try {
        const page = await this.#readPage();
        if (timeline === this.#timeline) this.#take(page);
      } catch (cause) {
        // A read of an abandoned timeline has failed: whoever abandoned it has seen to the rest.
        if (this.#started) this.#fault = asError(cause);
      }
      this.#wake();
    }
  }

  #readPage(): Promise<Page> {
    const wanted = {
      partition: this.partition,
      anchor: this.#anchors.at(-1) ?? null,
      next: this.#ahead,
      bytesMax: this.#inbox.reserve(PAGE_BYTES_MAX),
      // With nothing at hand, the next segment comes whatever its size: no lane waits for another to read.
      firstSegment: this.#inbox.entries === 0 ? ('always' as const) : ('if-it-fits' as const),
    };
    return this.#given.clients.use((client) => readPage(client, this.#given.statements, wanted));
  }

  #take(page: Page): void {
    if (page.kind === 'torn') {
      this.#inbox.push([]);
      this.#given.observe({ kind: 'log-torn', partition: this.partition, reason: page.what });
      this.#given.lose(this.partition);
      return;
    }
    const { deliveries } = page;
    const own = countOwn(
      deliveries.map(({ headers }) => headers),
      this.#given.systemId,
    );
    const foreign = deliveries[own];
    if (foreign !== undefined) this.#foreign = foreignSystem(this.partition, foreign);
    this.#inbox.push(foreign === undefined ? deliveries : deliveries.slice(0, own));
    this.#ahead += deliveries.length;
    const last = this.#anchors.at(-1)?.lastPosition ?? -1;
    this.#anchors.push(...page.anchors.filter((each) => each.lastPosition > last));
    if (page.isEnd && !this.#hinted) this.#knows = 'caught-up';
    this.#isFull = !page.isEnd && deliveries.length === 0;
  }

  #wake(): void {
    this.#wakeNext?.();
  }

  /** Resolves when a read ends, the lane is lost, or after `ms`. */
  #change(ms: number): Promise<void> {
    return sleepUntilWoken(this.#given.clock, ms, this.lost, (wake) => {
      this.#wakeNext = wake;
      return () => (this.#wakeNext = null);
    });
  }
}

const bytesOf = (entries: Appended['entries']): number => entries.reduce((sum, { bytes }) => sum + bytes.length, 0);

// Owns the question whether a partition's log is still the one that was read: its bounds are asked for, and the last known entry is read again.
import type { Delivery } from '../../command/entry.ts';
import { position, type Partition, type Position } from '../../command/identity.ts';
import type { Clock } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import { diverged, startingPosition } from '../resume-check.ts';
import type { Resume } from '../transport.ts';
import type { Bounds } from './cluster-view.ts';
import type { Fetched } from './fetched.ts';

export interface LogCheckGiven {
  readonly partition: Partition;
  readonly at: Resume;
  readonly lost: AbortSignal;
  readonly clock: Clock;
  /** Rejects when the broker is away. */
  readonly bounds: () => Promise<Bounds>;
  /** The last known entry, as it stands in the log now. */
  readonly onRead: (entry: Delivery) => void;
  /** Has records from this offset on given to `fetched`. */
  readonly readFrom: (offset: number) => void;
  readonly stopReading: () => void;
}

type Found =
  | { readonly kind: 'entry'; readonly delivery: Delivery }
  /** Something stands there that is nobody's entry. */
  | { readonly kind: 'other' }
  | { readonly kind: 'nothing' };

const ANCHOR_MS = 10_000;

/** One check. It ends once; a newer one takes its place after `abandon`. */
export class LogCheck {
  readonly #given: LogCheckGiven;
  readonly #over = new AbortController();
  #anchor: number | null = null;
  #found: Found = { kind: 'nothing' };
  #isAbandoned = false;

  constructor(given: LogCheckGiven) {
    this.#given = given;
  }

  /** Position to read first. Rejects with LogDiverged, or with BrokerAway when it could not be found out. */
  async run(): Promise<Position> {
    const { at, partition, bounds } = this.#given;
    const { first, end } = await this.#orGivenUp(bounds());
    this.refuseAbandoned();
    const isKept = at.last !== null && first <= at.last.position && at.last.position < end;
    const lastApplied = isKept && at.last !== null ? await this.#readAnchor(Number(at.last.position)) : null;
    return startingPosition(at, { partition, first: position(first), end: position(end), lastApplied });
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  abandon(): void {
    this.#isAbandoned = true;
    this.#over.abort();
  }

  /** What was asked for may be forgotten. */
  doubted(): void {
    if (this.#anchor !== null) this.#given.readFrom(this.#anchor);
  }

  fetched({ page, first }: Fetched): void {
    const delivery = page.count > 0 ? page.at(0) : null;
    if (delivery === null || Number(delivery.position) !== this.#anchor) return this.skipped(first);
    this.#given.onRead(delivery);
    this.#end({ kind: 'entry', delivery });
  }

  skipped(first: number): void {
    if (this.#anchor === null) return;
    this.#end(first === this.#anchor ? { kind: 'other' } : { kind: 'nothing' });
  }

  #end(found: Found): void {
    this.#found = found;
    this.#anchor = null;
    this.#given.stopReading();
    this.#over.abort();
  }

  async #readAnchor(at: number): Promise<Delivery> {
    const { clock, lost, partition, readFrom } = this.#given;
    const end = () => this.#over.abort();
    this.#anchor = at;
    readFrom(at);
    lost.addEventListener('abort', end, { once: true });
    await clock.sleep(ANCHOR_MS, this.#over.signal);
    lost.removeEventListener('abort', end);
    this.refuseAbandoned();
    switch (this.#found.kind) {
      case 'entry':
        return this.#found.delivery;
      case 'other':
        throw diverged(partition, `position ${at}, which was applied last, holds no entry`);
      case 'nothing':
        this.#given.stopReading();
        throw new BrokerAway(`the broker has not given the entry at position ${at} of partition ${partition}`);
    }
  }

  /** A broker that hangs must not hold up whoever gives the lane up. */
  async #orGivenUp<T>(work: Promise<T>): Promise<T> {
    const { lost } = this.#given;
    const end = () => this.#over.abort();
    lost.addEventListener('abort', end, { once: true });
    try {
      return await Promise.race([work, givenUp(this.#over.signal)]);
    } finally {
      lost.removeEventListener('abort', end);
    }
  }

  /** Throws when the lane, or this check of it, was given up. */
  refuseAbandoned(): void {
    if (this.#isAbandoned || this.#given.lost.aborted) {
      throw new BrokerAway(GIVEN_UP);
    }
  }
}

const GIVEN_UP = 'the lane was given up while its log was checked';

function givenUp(over: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = () => reject(new BrokerAway(GIVEN_UP));
    if (over.aborted) end();
    else over.addEventListener('abort', end, { once: true });
  });
}

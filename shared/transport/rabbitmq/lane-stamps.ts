// Owns the writing of one lane's stamp: the newest one, again and again, until the broker has it or the lane is over.
import { backoffMs, type Clock, type Random } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import type { Stamp } from './stamps.ts';

export interface LaneStampsGiven {
  /** Of the lane's claim. A stamp names it when something was committed under it, and not before. */
  readonly epoch: Stamp['epoch'];
  /** Rejects when it is not known to be safe. */
  readonly write: (stamp: Stamp, stop: AbortSignal) => Promise<void>;
  /** What the lane's channel may have unacked, and whoever comes after must know. */
  readonly prefetch: () => number;
  /** A stamp for everything before this position is safe. */
  readonly onStamped: (settledTo: number) => void;
  /** Whether there is a connection to write over. Who was silent for a lease has none any more: the broker has ended it. */
  readonly isConnected: () => boolean;
  /** Another lane may stamp soon, and an older stamp must not take the place of its own: nothing is written over a new connection then. */
  readonly lost: AbortSignal;
  /** Nothing is waited for any more. */
  readonly over: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
}

type Settled = Pick<Stamp, 'commits' | 'head' | 'appendedAt'>;

const AGAIN = { firstMs: 50, maxMs: 2_000 };

export class LaneStamps {
  readonly #given: LaneStampsGiven;
  #stamp: Stamp;
  /** What was settled and is not known to be stamped; null: nothing. */
  #owed: { readonly settled: Settled; readonly settledTo: number } | null = null;
  #isRepeating = false;

  constructor(stamp: Stamp, given: LaneStampsGiven) {
    this.#stamp = stamp;
    this.#given = given;
  }

  /** Rejects when it failed; it is then written again behind the caller's back, as nobody settles the same twice. */
  async settled(settled: Settled, settledTo: number): Promise<void> {
    // What is not stamped is not acked either: it comes again, and the ledger recognises it.
    if (this.#given.lost.aborted && !this.#given.isConnected()) return;
    this.#owed = { settled, settledTo };
    try {
      await this.#pay();
    } catch (thrown) {
      void this.#repeat();
      throw thrown;
    }
  }

  /** The last one once more, with what a channel may have unacked by now. Rejects when that is not known to be safe. */
  async again(): Promise<void> {
    if (this.#given.lost.aborted) throw new BrokerAway('the lane is lost: nobody reads more for it');
    await this.#write({});
  }

  async #pay(): Promise<void> {
    const owed = this.#owed;
    if (owed === null) return;
    await this.#write({ ...owed.settled, epoch: this.#given.epoch });
    if (this.#owed === owed) this.#owed = null;
    this.#given.onStamped(owed.settledTo);
  }

  /** Never rejects. */
  async #repeat(): Promise<void> {
    if (this.#isRepeating) return;
    this.#isRepeating = true;
    const { lost, over, clock, random } = this.#given;
    for (let failures = 1; this.#owed !== null; failures++) {
      await clock.sleep(backoffMs(failures, random, AGAIN), over);
      if (lost.aborted || over.aborted) break;
      await this.#pay().catch(() => undefined);
    }
    this.#isRepeating = false;
  }

  async #write(news: Partial<Settled & Pick<Stamp, 'epoch'>>): Promise<void> {
    this.#stamp = { ...this.#stamp, ...news, prefetch: this.#given.prefetch() };
    const { over, lost, isConnected, write } = this.#given;
    await write(this.#stamp, isConnected() ? over : AbortSignal.any([over, lost]));
  }
}

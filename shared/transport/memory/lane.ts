// Owns a lane over the log in memory. It has no inbox: the log itself is at hand.
import type { Delivery } from '../../command/entry.ts';
import { position, type Partition, type Position, type Uuid } from '../../command/identity.ts';
import { sleepUntilWoken, type Clock } from '../../process/time.ts';
import { invariant } from '../../process/errors.ts';
import type { Hold } from '../lane-roster.ts';
import { countOwn, diverged, foreignSystem, startingPosition } from '../resume-check.ts';
import type { Lane, Resume } from '../transport.ts';
import type { MemoryLog } from './log.ts';

export interface MemoryLaneGiven {
  readonly log: MemoryLog;
  readonly systemId: Uuid | null;
  readonly clock: Clock;
}

export class MemoryLane implements Lane {
  readonly partition: Partition;
  readonly lost: AbortSignal;
  readonly #given: MemoryLaneGiven;
  readonly #release: () => void;
  /** Position to hand out next; null before start. */
  #next: number | null = null;
  /** The entry before it, if it is known; the log must still have it. */
  #before: Delivery | null = null;
  #turns = 0;

  constructor(hold: Hold, given: MemoryLaneGiven) {
    this.partition = hold.partition;
    this.lost = hold.lost;
    this.#release = hold.release;
    this.#given = given;
  }

  start(at: Resume): Promise<void> {
    // A promise that rejects, not a throw: the executor turns one into the other.
    return new Promise((resolve) => {
      const { log } = this.#given;
      log.reach();
      const bounds = log.bounds(this.partition);
      const first = startingPosition(at, {
        partition: this.partition,
        first: position(bounds.first),
        end: position(bounds.end),
        lastApplied: at.last === null ? null : log.at(this.partition, at.last.position),
      });
      this.#next = Number(first);
      this.#before = at.last === null ? null : log.at(this.partition, at.last.position);
      this.#turns = log.turns(this.partition);
      resolve();
    });
  }

  async next(limit: {
    readonly count: number;
    readonly bytes: number;
    readonly waitMs: number;
  }): Promise<readonly Delivery[]> {
    if (this.lost.aborted) return [];
    const ready = this.#read(limit);
    if (ready.length > 0 || limit.waitMs <= 0) return ready;
    await this.#change(limit.waitMs);
    return this.lost.aborted ? [] : this.#read(limit);
  }

  settle(through: Position): Promise<void> {
    this.#given.log.settle(this.partition, through);
    return Promise.resolve();
  }

  release(): Promise<void> {
    this.#release();
    return Promise.resolve();
  }

  #read(limit: { readonly count: number; readonly bytes: number }): readonly Delivery[] {
    const { log, systemId } = this.#given;
    invariant(this.#next !== null, 'a lane is started before it is read');
    log.reach();
    this.#checkLog(this.#next);
    const deliveries = log.read(this.partition, this.#next, limit);
    const own = countOwn(
      deliveries.map(({ headers }) => headers),
      systemId,
    );
    const foreign = deliveries[own];
    if (own === 0 && foreign !== undefined) throw foreignSystem(this.partition, foreign);
    this.#next += own;
    this.#before = deliveries[own - 1] ?? this.#before;
    return foreign === undefined ? deliveries : deliveries.slice(0, own);
  }

  #checkLog(next: number): void {
    const { log } = this.#given;
    const { first, end } = log.bounds(this.partition);
    if (end < next) throw diverged(this.partition, `the log ends at ${end} and position ${next} was due`);
    if (first > next) throw diverged(this.partition, `the log begins at ${first}, past ${next} which was due`);
    if (log.turns(this.partition) === this.#turns) return;
    if (this.#before !== null && log.at(this.partition, this.#before.position) !== this.#before) {
      throw diverged(this.partition, `the entry before position ${next} is not the one that was read`);
    }
    this.#turns = log.turns(this.partition);
  }

  /** Resolves at the next change of the partition, when the lane is lost, or after `waitMs`. */
  #change(waitMs: number): Promise<void> {
    const { clock, log } = this.#given;
    return sleepUntilWoken(clock, waitMs, this.lost, (wake) => log.watch(this.partition, wake));
  }
}

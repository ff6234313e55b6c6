// Owns a log for simulations: it forgets what was settled, gives the rest to one lane after another, and lets the story say how much at a time.
import type { Delivery } from '../../../shared/command/entry.ts';
import { entryHash } from '../../../shared/command/entry.ts';
import {
  epoch as epochOf,
  position,
  type Epoch,
  type Partition,
  type Position,
} from '../../../shared/command/identity.ts';
import { LogDiverged } from '../../../shared/transport/log-diverged.ts';
import type { Lane } from '../../../shared/transport/transport.ts';

/** `stored`: a lane starts where the tenure says. `lane`: it starts at the first unsettled entry, with positions of its own. */
export type Positions = 'stored' | 'lane';

export interface LaneDraws {
  readonly positions: Positions;
  /** How many entries the next call hands out, at most. */
  batchSize(): number;
  /** In thousandths of what may be delivered again: where a `lane` log starts. 0: at the first entry it still has. */
  readonly backTo: number;
}

export class ModelLog {
  readonly #entries: readonly Delivery[];
  #settled = 0;
  #lanes = 0;
  #epoch = epochOf(0n);
  /** Entries handed out more than once. */
  redelivered = 0;
  readonly #handedOut = new Set<number>();

  constructor(entries: readonly Delivery[]) {
    this.#entries = entries;
  }

  get isSettled(): boolean {
    return this.#settled === this.#entries.length;
  }

  get pending(): number {
    return this.#entries.length - this.#settled;
  }

  lane(partition: Partition, draws: LaneDraws): Lane {
    const lost = new AbortController();
    const shift = draws.positions === 'lane' ? BigInt(++this.#lanes) * 10_000n : 0n;
    let next = Math.floor((this.#settled * draws.backTo) / 1000);
    return {
      partition,
      lost: lost.signal,
      start: async (resume) => {
        this.#claimed(resume.epoch);
        if (draws.positions === 'stored') {
          next = this.#indexAfter(resume.last);
          // What a tenure says was applied need not be kept, also when its holder died before it could say so.
          this.#settled = Math.max(this.#settled, next);
        }
        return Promise.resolve();
      },
      next: async (limit) => {
        const batch = this.#entries.slice(next, next + Math.min(limit.count, draws.batchSize()));
        batch.forEach((_, at) => this.#handOut(next + at));
        next += batch.length;
        // Everything was handed out: the holder finishes what it has and gives the lane back.
        if (batch.length === 0) lost.abort();
        return Promise.resolve(batch.map((each) => ({ ...each, position: position(each.position + shift) })));
      },
      settle: async (through) => {
        this.#settled = Math.max(this.#settled, Number(through - shift));
        return Promise.resolve();
      },
      release: () => Promise.resolve(),
    };
  }

  /** A log that keeps stamps needs it: every lane says under which claim it reads, and that is newer than any before. */
  #claimed(epoch: Epoch | undefined): void {
    if (epoch === undefined || epoch <= this.#epoch) this.#diverged(`claim ${epoch} comes after claim ${this.#epoch}`);
    this.#epoch = epoch;
  }

  /** Positions of the model are 1, 2, 3 …, so an entry's index is one less than its position. */
  #indexAfter(last: { readonly position: Position; readonly hash: string } | null): number {
    if (last === null) return this.#settled === 0 ? 0 : this.#diverged('it begins later than at its first entry');
    const stands = this.#entries[Number(last.position) - 1];
    if (stands === undefined || entryHash(stands) !== last.hash)
      return this.#diverged('the last applied entry is not in it');
    if (Number(last.position) < this.#settled) return this.#diverged('entries after the last applied one are gone');
    return Number(last.position);
  }

  #diverged(why: string): never {
    throw new LogDiverged(`this log is not the one the database knows: ${why}`);
  }

  #handOut(index: number): void {
    if (this.#handedOut.has(index)) this.redelivered++;
    this.#handedOut.add(index);
  }
}

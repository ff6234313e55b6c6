// Owns the settling of a lane: one call in flight, the newest position next. Bookkeeping, never the truth: the ledger is.
import type { Position } from '../../shared/command/identity.ts';
import { asError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Lane } from '../../shared/transport/transport.ts';

export class Settler {
  readonly #lane: Lane;
  readonly #observe: Observe;
  #newest: { readonly through: Position; readonly commits: bigint } | null = null;
  #running: Promise<void> | null = null;

  constructor(lane: Lane, observe: Observe) {
    this.#lane = lane;
    this.#observe = observe;
  }

  /** Returns at once; a position overtaken by a newer one before its turn is never settled by itself. */
  settle(through: Position, commits: bigint): void {
    this.#newest = { through, commits };
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#newest !== null) {
      const { through, commits } = this.#newest;
      this.#newest = null;
      try {
        await this.#lane.settle(through, commits);
      } catch (thrown) {
        // A lost settle is a redelivery that the ledger recognises.
        this.#observe({ kind: 'settle-failed', partition: this.#lane.partition, cause: asError(thrown) });
      }
    }
    this.#running = null;
  }
}

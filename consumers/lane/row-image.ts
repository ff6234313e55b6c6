// Owns what commands see of a row between two writes: its state as the table gives it back, which no command before could change.
import { deepFreeze } from './deep-freeze.ts';

/** A row that makes its state anew each time that it is asked for it. */
export interface StateSource {
  readonly state: unknown;
}

/**
 * Lends the state of `source`: the same frozen one to every command, or, when a part of it cannot be frozen, each its own.
 * Made only when the state can be read; else it throws what reading it throws.
 */
export class RowImage {
  readonly #source: StateSource;
  readonly #isShared: boolean;
  #state: unknown;
  #isLent = false;

  constructor(source: StateSource) {
    this.#source = source;
    this.#state = source.state;
    this.#isShared = deepFreeze(this.#state) === 'frozen';
  }

  lend(): unknown {
    if (this.#isShared) return this.#state;
    if (this.#isLent) {
      this.#state = this.#source.state;
      deepFreeze(this.#state);
    }
    this.#isLent = true;
    return this.#state;
  }
}

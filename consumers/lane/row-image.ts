// Owns what commands see of a row between two writes: its state as the table gives it back, which no command before could change.
import { deepFreeze } from './deep-freeze.ts';

/**
 * Lends the state that `read` makes: the same frozen one to every command, or, when a part of it cannot be frozen, each its own.
 * Made only when the state can be read; else it throws what `read` throws.
 */
export class RowImage {
  readonly #read: () => unknown;
  readonly #isShared: boolean;
  #next: { readonly state: unknown } | null;

  constructor(read: () => unknown) {
    const state = read();
    this.#read = read;
    this.#isShared = deepFreeze(state) === 'frozen';
    this.#next = { state };
  }

  lend(): unknown {
    const { state } = this.#next ?? { state: this.#readAnew() };
    if (!this.#isShared) this.#next = null;
    return state;
  }

  #readAnew(): unknown {
    const state = this.#read();
    deepFreeze(state);
    return state;
  }
}

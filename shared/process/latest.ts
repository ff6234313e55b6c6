// Owns a value that changes and has readers who want the newest, not every one.

/** Each reader gets the value that stands when it asks first, then each newer one; what it was too slow for, it never sees. */
export class Latest<T> implements AsyncIterable<T> {
  #value: T;
  #version = 0;
  #hasEnded = false;
  #waiting: (() => void)[] = [];

  constructor(first: T) {
    this.#value = first;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (this.#hasEnded) return;
    this.#value = value;
    this.#version++;
    this.#wake();
  }

  /** Readers that have seen the newest value end. Idempotent. */
  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let seen = -1;
    for (;;) {
      while (seen === this.#version) {
        if (this.#hasEnded) return;
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
      seen = this.#version;
      yield this.#value;
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

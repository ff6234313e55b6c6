// Owns when the entries in hand were appended: by their publishers' clocks, and never going back within a lane.

export class AppendTimes {
  /** Of entries from a position on. */
  readonly #times: { readonly from: number; readonly at: Date }[] = [];
  #latestMs = 0;

  /** Of a message whose first entry has this position. */
  received(from: number, appendedMs: number): Date {
    const latest = this.#times.at(-1);
    // Clocks may be set back, and differ from each other.
    if (latest !== undefined && appendedMs <= this.#latestMs) return latest.at;
    this.#latestMs = appendedMs;
    const at = new Date(appendedMs);
    this.#times.push({ from, at });
    return at;
  }

  /** Nothing before this position is asked for any more. */
  at(position: number): Date {
    const behind = this.#times.findIndex(({ from }) => from > position);
    const index = (behind === -1 ? this.#times.length : behind) - 1;
    if (index > 0) this.#times.splice(0, index);
    return this.#times[0]?.at ?? new Date(0);
  }
}

// Owns the estimate of how many entries stand in messages that only the broker has seen: it counts messages, and nothing else.
import type { Partition } from '../../command/identity.ts';

/** Of each partition so many messages are known by their sizes. */
const KNOWN_MAX = 64;

interface Sizes {
  /** Entries of the newest messages that this process has published, the newest last. */
  readonly published: number[];
  /** Of the message that this process has read last. */
  read: number | null;
}

/** Exact while nobody but this process publishes and few messages wait; else what waits is taken to be like what was seen last. */
export class EntryCounts {
  readonly #sizes = new Map<Partition, Sizes>();

  published(partition: Partition, entries: number): void {
    const { published } = this.#of(partition);
    published.push(entries);
    if (published.length > KNOWN_MAX) published.shift();
  }

  read(partition: Partition, entries: number): void {
    this.#of(partition).read = entries;
  }

  /** In so many messages, the newest of the queue. */
  estimate(partition: Partition, messages: number): number {
    const { published, read } = this.#of(partition);
    const known = published.slice(-messages || published.length).reduce((sum, entries) => sum + entries, 0);
    if (messages <= published.length) return messages === 0 ? 0 : known;
    const usual = read ?? (published.length === 0 ? 1 : known / published.length);
    return Math.round(known + (messages - published.length) * usual);
  }

  #of(partition: Partition): Sizes {
    const known = this.#sizes.get(partition);
    if (known !== undefined) return known;
    const sizes: Sizes = { published: [], read: null };
    this.#sizes.set(partition, sizes);
    return sizes;
  }
}

// Owns the questions about the topic as a whole: one connection for them, one question at a time, its answer shared.
import type { Admin } from 'kafkajs';
import type { OnelaneError } from '../../process/errors.ts';
import { withPatience, type KafkaClient } from './client.ts';
import type { Clock } from '../../process/time.ts';

export interface Bounds {
  /** Offset of the first record that is kept; equal to `end` when none is. */
  readonly first: number;
  /** What the next record will get. */
  readonly end: number;
}

export interface ClusterViewGiven {
  readonly open: () => KafkaClient;
  readonly topic: string;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
}

interface Opened {
  readonly client: KafkaClient;
  readonly admin: Admin;
}

const CLOSED = new Error('the transport is closed');

export class ClusterView {
  readonly #given: ClusterViewGiven;
  #opened: Promise<Opened> | null = null;
  #bounds: Promise<readonly Bounds[]> | null = null;
  #isClosed = false;

  constructor(given: ClusterViewGiven) {
    this.#given = given;
  }

  /** In the order of partitions. Those who ask while an answer is on its way share the next one. */
  bounds(): Promise<readonly Bounds[]> {
    if (this.#bounds !== null) return this.#bounds;
    const { topic } = this.#given;
    const asked = this.ask(async (admin) => {
      // Whoever asks from here on wants to know how it is then.
      this.#bounds = null;
      return await boundsOf(admin, topic);
    });
    this.#bounds = asked;
    asked.catch(() => (this.#bounds === asked ? (this.#bounds = null) : undefined));
    return asked;
  }

  /** Rejects with a sentence; whatever the reason, the next question goes over a new connection. */
  async ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw CLOSED;
    const opening = (this.#opened ??= this.#open());
    try {
      const { client, admin } = await opening;
      return await withPatience(client, this.#given.clock, question(admin));
    } catch (thrown) {
      if (this.#opened === opening) {
        this.#opened = null;
        void this.#discard(opening);
      }
      throw this.#given.explain(thrown);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const opened = this.#opened;
    this.#opened = null;
    if (opened !== null) await this.#discard(opened);
  }

  async #open(): Promise<Opened> {
    const client = this.#given.open();
    const admin = client.kafka.admin();
    try {
      await admin.connect();
      return { client, admin };
    } catch (thrown) {
      client.breakOff();
      throw thrown;
    }
  }

  /** Never rejects. */
  async #discard(opening: Promise<Opened>): Promise<void> {
    try {
      const { client, admin } = await opening;
      client.breakOff();
      await admin.disconnect();
    } catch {
      // It was not open, or is broken already.
    }
  }
}

/** In the order of partitions. Rejects as kafkajs does, with NOT_LEADER_FOR_PARTITION where leaders have just changed. */
export async function boundsOf(admin: Admin, topic: string): Promise<readonly Bounds[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets
    .sort((a, b) => a.partition - b.partition)
    .map(({ low, high }) => ({ first: Number(low), end: Number(high) }));
}

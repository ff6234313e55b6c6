// Owns the taking of batches: entries read and routed, one batch ahead while the database writes the one before.
import type { Delivery, Entry } from '../../shared/command/entry.ts';
import { asError } from '../../shared/process/errors.ts';
import { LogDiverged } from '../../shared/transport/log-diverged.ts';
import type { Lane } from '../../shared/transport/transport.ts';
import { waitOutage } from './attempt.ts';
import type { LaneGiven } from './lane-given.ts';
import { readEntries } from './read-batch.ts';

export interface Batch {
  /** May be empty: nothing came for a while. */
  readonly entries: readonly Entry[];
  readonly cut: 'size' | 'linger';
}

/** How long one call waits for a first entry; only an upper bound on how stale `lost` is noticed by an adapter. */
const WAIT_MS = 1_000;

export class BatchReader {
  readonly #lane: Lane;
  readonly #given: LaneGiven;
  #ahead: Promise<Batch> | null = null;
  #countMax = 0;
  #stopped = false;

  constructor(lane: Lane, given: LaneGiven) {
    this.#lane = lane;
    this.#given = given;
  }

  /** The batch read ahead, else the next one. Waits out a broker that is away. */
  async take(countMax: number): Promise<Batch> {
    this.#countMax = countMax;
    const ahead = this.#ahead;
    this.#ahead = null;
    return await (ahead ?? this.#read());
  }

  /** Starts reading the next batch once this turn's writes have left; harmless when one is on its way already. */
  readAhead(): void {
    if (this.#ahead !== null || this.#countMax === 1) return;
    const started = new Promise<void>((resolve) => setImmediate(resolve)).then(async () =>
      this.#stopped ? { entries: [], cut: 'linger' as const } : await this.#read(),
    );
    // Whoever takes it gets the error; when nobody does, the lane has ended.
    started.catch(() => undefined);
    this.#ahead = started;
  }

  stop(): void {
    this.#stopped = true;
  }

  async #read(): Promise<Batch> {
    const deliveries = await this.#fill();
    const place = { partition: this.#lane.partition, partitions: this.#given.system.partitions };
    return {
      entries: readEntries(deliveries, place),
      cut: deliveries.length >= this.#countMax ? 'size' : 'linger',
    };
  }

  async #fill(): Promise<readonly Delivery[]> {
    const { lingerMs, batchBytesMax: bytes } = this.#given.limits;
    const first = await this.#next({ count: this.#countMax, bytes, waitMs: WAIT_MS });
    if (lingerMs === 0 || first.length === 0 || first.length >= this.#countMax) return first;
    await this.#given.clock.sleep(lingerMs, this.#lane.lost);
    return [...first, ...(await this.#next({ count: this.#countMax - first.length, bytes, waitMs: 0 }))];
  }

  async #next(limit: Parameters<Lane['next']>[0]): Promise<readonly Delivery[]> {
    for (let outages = 1; ; outages++) {
      try {
        return await this.#lane.next(limit);
      } catch (thrown) {
        if (thrown instanceof LogDiverged || this.#stopped) throw thrown;
        await waitOutage(asError(thrown), outages, {
          given: this.#given,
          partition: this.#lane.partition,
          lost: this.#lane.lost,
        });
      }
    }
  }
}

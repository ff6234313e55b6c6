// Owns publishing: what waits together goes in one request; partitions that fail go by themselves until they work again.
import { position, type Partition } from '../../command/identity.ts';
import type { OnelaneError } from '../../process/errors.ts';
import type { Clock } from '../../process/time.ts';
import { BEHIND_REFUSED } from '../admission.ts';
import { PublishQueue, resultOf, type Fate, type Parcel } from '../publish-queue.ts';
import type { Publisher, PublishResult, Routed } from '../transport.ts';
import { protocolError } from './broker-errors.ts';
import type { KafkaClient } from './client.ts';
import { NotConnected, ProducerLink, recordBytes } from './producer-link.ts';

/** Below what a broker takes in one batch of records at its defaults. */
const BATCH_BYTES_MAX = 1_000_000;
const PARCEL_LIMITS = { entries: 10_000, bytes: 8 * 1024 * 1024, partitionBytes: BATCH_BYTES_MAX };

export interface KafkaPublisherGiven {
  readonly topic: string;
  readonly partitions: number;
  readonly open: () => KafkaClient;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
}

type Fates = ReadonlyMap<Partition, Fate>;

export class KafkaPublisher implements Publisher {
  readonly #given: KafkaPublisherGiven;
  readonly #link: ProducerLink;
  readonly #queue: PublishQueue;
  /** For partitions whose last send failed: one that has no leader must not hold up the others. */
  readonly #asideLink: ProducerLink;
  readonly #asideQueue: PublishQueue;
  readonly #failing = new Set<Partition>();

  private constructor(given: KafkaPublisherGiven) {
    this.#given = given;
    this.#link = new ProducerLink(given);
    this.#asideLink = new ProducerLink(given);
    const shared = {
      partitions: given.partitions,
      sendsMax: 1,
      limits: PARCEL_LIMITS,
      sizeOf: recordBytes,
      clock: given.clock,
    };
    this.#queue = new PublishQueue({ ...shared, send: (parcel) => this.#sendOver(this.#link, parcel) });
    this.#asideQueue = new PublishQueue({ ...shared, send: (parcel) => this.#sendEach(parcel) });
  }

  /** Throws a sentence when no broker can be reached. */
  static async open(given: KafkaPublisherGiven): Promise<KafkaPublisher> {
    const publisher = new KafkaPublisher(given);
    try {
      await publisher.#link.connect();
      return publisher;
    } catch (thrown) {
      throw given.explain(thrown instanceof NotConnected ? thrown.cause : thrown);
    }
  }

  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    const isAside = batch.length > 0 && batch.every(({ partition }) => this.#failing.has(partition));
    return (isAside ? this.#asideQueue : this.#queue).publish(batch);
  }

  /** Waits for what is on its way; what has no answer by then is unknown. */
  async close(): Promise<void> {
    await Promise.all([
      this.#queue.close(() => this.#link.close()),
      this.#asideQueue.close(() => this.#asideLink.close()),
    ]);
  }

  /** One after the other: who fails takes the producer along, and with it whatever else were on its way. */
  async #sendEach(parcel: Parcel): Promise<Fates> {
    const fates = new Map<Partition, Fate>();
    for (const [partition, entries] of parcel) {
      const alone = new Map([[partition, entries]]);
      for (const [, fate] of await this.#sendOver(this.#asideLink, alone)) fates.set(partition, fate);
    }
    return fates;
  }

  /** Never rejects. */
  async #sendOver(link: ProducerLink, parcel: Parcel): Promise<Fates> {
    try {
      const first = await link.send(parcel);
      return new Map([...parcel.keys()].map((partition) => [partition, this.#fateOf(partition, first.get(partition))]));
    } catch (thrown) {
      const [only] = parcel;
      if (parcel.size === 1 && only !== undefined && TOO_LARGE.has(protocolError(thrown) ?? '')) {
        return new Map([[only[0], await this.#halved(link, only)]]);
      }
      const failure = this.#failureOf(thrown);
      for (const partition of parcel.keys()) this.#failing.add(partition);
      return new Map([...parcel.keys()].map((partition) => [partition, failure]));
    }
  }

  /** The broker takes smaller batches than we thought, and has stored nothing of this one. Each half has its own fate; nothing goes out behind what was not stored. */
  async #halved(link: ProducerLink, [partition, entries]: readonly [Partition, readonly Routed[]]): Promise<Fate> {
    if (entries.length === 1) {
      return { kind: 'refused', reason: 'the entry is larger than the topic takes', retry: false };
    }
    const half = Math.ceil(entries.length / 2);
    const front = await this.#sendHalf(link, partition, entries.slice(0, half));
    const back = front.kind === 'stored' ? await this.#sendHalf(link, partition, entries.slice(half)) : BEHIND_REFUSED;
    const at = (index: number) => (index < half ? resultOf(front, index) : resultOf(back, index - half));
    if (front.kind !== 'stored' || back.kind !== 'stored') return { kind: 'mixed', resultOf: at };
    return {
      kind: 'stored',
      positionOf: (index) => (index < half ? front.positionOf(index) : back.positionOf(index - half)),
    };
  }

  async #sendHalf(link: ProducerLink, partition: Partition, entries: readonly Routed[]): Promise<Fate> {
    const fates = await this.#sendOver(link, new Map([[partition, entries]]));
    return fates.get(partition) ?? { kind: 'unknown', cause: new Error('a half got no answer') };
  }

  #fateOf(partition: Partition, first: bigint | undefined): Fate {
    if (first === undefined) {
      // kafkajs can resolve without one of the partitions.
      this.#failing.add(partition);
      return { kind: 'unknown', cause: new Error(`the broker's answer does not mention partition ${partition}`) };
    }
    this.#failing.delete(partition);
    return { kind: 'stored', positionOf: (index) => position(first + BigInt(index)) };
  }

  /**
   * Only who has no connection yet has certainly sent nothing. After that no error is to be trusted: kafkajs connects anew and reads
   * the topic's state before it rejects, and what goes wrong there takes the place of what went wrong with the request.
   */
  #failureOf(thrown: unknown): Exclude<Fate, { readonly kind: 'stored' }> {
    const cause = this.#given.explain(thrown instanceof NotConnected ? thrown.cause : thrown);
    if (thrown instanceof NotConnected) return { kind: 'refused', reason: cause.message, retry: true };
    return { kind: 'unknown', cause };
  }
}

const TOO_LARGE: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

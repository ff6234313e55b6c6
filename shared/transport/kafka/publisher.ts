// Owns publishing: what waits together goes in one request; partitions that fail go by themselves until they work again.
import { position, type Partition } from '../../command/identity.ts';
import type { OnelaneError } from '../../process/errors.ts';
import type { Clock } from '../../process/time.ts';
import { PublishQueue, type Fate, type Parcel } from '../publish-queue.ts';
import type { Publisher, PublishResult, Routed } from '../transport.ts';
import type { KafkaClient } from './client.ts';
import { NotConnected, ProducerLink } from './producer-link.ts';

/** Below what a broker takes in one batch of records at its defaults, headers and framing included. */
const BATCH_BYTES_MAX = 900 * 1024;
const PARCEL_LIMITS = { entries: 10_000, bytes: 8 * 1024 * 1024, partitionBytes: BATCH_BYTES_MAX };
/** One request in flight; a second parcel may wait for partitions that have to go alone. */
const SENDS_MAX = 2;

export interface KafkaPublisherGiven {
  readonly topic: string;
  readonly partitions: number;
  readonly open: () => KafkaClient;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
}

type Failure = Exclude<Fate, { readonly kind: 'stored' }>;

export class KafkaPublisher implements Publisher {
  readonly #given: KafkaPublisherGiven;
  readonly #queue: PublishQueue;
  readonly #link: ProducerLink;
  /** For partitions whose last send failed: one that has no leader must not hold up the others. */
  readonly #asideLink: ProducerLink;
  readonly #failing = new Set<Partition>();

  private constructor(given: KafkaPublisherGiven) {
    this.#given = given;
    this.#link = new ProducerLink(given.topic, given.open);
    this.#asideLink = new ProducerLink(given.topic, given.open);
    this.#queue = new PublishQueue({
      partitions: given.partitions,
      send: (parcel) => this.#send(parcel),
      sendsMax: SENDS_MAX,
      limits: PARCEL_LIMITS,
      clock: given.clock,
    });
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
    return this.#queue.publish(batch);
  }

  /** Waits for what is on its way; what has no answer by then is unknown. */
  close(): Promise<void> {
    return this.#queue.close(async () => {
      await Promise.all([this.#link.close(), this.#asideLink.close()]);
    });
  }

  async #send(parcel: Parcel): Promise<ReadonlyMap<Partition, Fate>> {
    const together = new Map([...parcel].filter(([partition]) => !this.#failing.has(partition)));
    const alone = [...parcel].filter(([partition]) => this.#failing.has(partition));
    const [fates, others] = await Promise.all([this.#sendOver(this.#link, together), this.#sendEach(alone)]);
    return new Map([...fates, ...others]);
  }

  /** One after the other: who fails takes the producer along, and with it whatever else were on its way. */
  async #sendEach(alone: readonly (readonly [Partition, readonly Routed[]])[]): Promise<ReadonlyMap<Partition, Fate>> {
    const fates = new Map<Partition, Fate>();
    for (const each of alone) {
      for (const [partition, fate] of await this.#sendOver(this.#asideLink, new Map([each])))
        fates.set(partition, fate);
    }
    return fates;
  }

  /** Never rejects. */
  async #sendOver(link: ProducerLink, parcel: Parcel): Promise<ReadonlyMap<Partition, Fate>> {
    if (parcel.size === 0) return new Map();
    try {
      const first = await link.send(parcel);
      return new Map([...parcel.keys()].map((partition) => [partition, this.#fateOf(partition, first.get(partition))]));
    } catch (thrown) {
      const failure = this.#failureOf(thrown);
      for (const partition of parcel.keys()) this.#failing.add(partition);
      return new Map([...parcel.keys()].map((partition) => [partition, failure]));
    }
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
  #failureOf(thrown: unknown): Failure {
    const cause = this.#given.explain(thrown instanceof NotConnected ? thrown.cause : thrown);
    if (thrown instanceof NotConnected) return { kind: 'refused', reason: cause.message, retry: true };
    return { kind: 'unknown', cause };
  }
}

// Owns one producer at a time: opened when something is to be sent, and thrown away after anything that went wrong.
import type { Message, Producer, RecordMetadata } from 'kafkajs';
import type { Partition } from '../../command/identity.ts';
import type { Clock } from '../../process/time.ts';
import type { Parcel } from '../publish-queue.ts';
import type { Routed } from '../transport.ts';
import { withPatience, type KafkaClient } from './client.ts';

/** How long the leader may wait for its replicas; below the client's own patience, so that it answers first. */
const REPLICAS_MS = 4_000;
const ALL_REPLICAS = -1;
const CONTENT_TYPE = { 'content-type': 'application/cloudevents+json; charset=UTF-8' } as const;
/** What a record has beside key, value and the headers of its entry: that header, lengths, offsets. */
export const RECORD_OVERHEAD_BYTES = 128;

/** Nothing was sent: no producer could be connected. Inside this room only. */
export class NotConnected extends Error {}

export interface ProducerLinkGiven {
  readonly topic: string;
  readonly open: () => KafkaClient;
  readonly clock: Clock;
}

interface Opened {
  readonly client: KafkaClient;
  readonly producer: Producer;
  readonly connected: Promise<void>;
}

/**
 * kafkajs' idempotent producer can lose what was accepted: after a lost answer it gives the next entries the numbers of those whose
 * answer it lost, and the broker takes them for repeats. A plain producer has no such numbers. It sends each request once, one at a
 * time; after any error it is discarded, and whoever sent publishes the same entries again: the ledger knows the repeats.
 */
export class ProducerLink {
  readonly #given: ProducerLinkGiven;
  #opened: Opened | null = null;
  readonly #discarding = new Set<Promise<void>>();
  #isClosed = false;

  constructor(given: ProducerLinkGiven) {
    this.#given = given;
  }

  /** Resolves when a producer is connected; rejects with NotConnected. */
  async connect(): Promise<void> {
    await this.#connected();
  }

  /** The offset of each partition's first entry; a partition that is missing is not known. Rejects with NotConnected, or as kafkajs does. */
  async send(parcel: Parcel): Promise<ReadonlyMap<Partition, bigint>> {
    const opened = await this.#connected();
    try {
      const sent = opened.producer.send({
        topic: this.#given.topic,
        messages: [...parcel].flatMap(([partition, entries]) => entries.map((each) => messageOf(each, partition))),
        acks: ALL_REPLICAS,
        timeout: REPLICAS_MS,
      });
      const first = new Map((await withPatience(opened.client, this.#given.clock, sent)).flatMap(firstOffset));
      // What it knows of the topic is not the topic: the next one asks anew.
      if (first.size < parcel.size) this.#discard(opened);
      return first;
    } catch (cause) {
      this.#discard(opened);
      throw cause;
    }
  }

  /** Idempotent. What is on its way gets an error, and nothing is sent any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#opened !== null) this.#discard(this.#opened);
    await Promise.all(this.#discarding);
  }

  async #connected(): Promise<Opened> {
    if (this.#isClosed) throw new NotConnected('the producer is closed');
    const opened = (this.#opened ??= this.#connect());
    try {
      await opened.connected;
      return opened;
    } catch (cause) {
      this.#discard(opened);
      throw new NotConnected('no producer could be connected', { cause });
    }
  }

  #connect(): Opened {
    const client = this.#given.open();
    const producer = client.kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: false,
      maxInFlightRequests: 1,
      // A request whose answer got lost must not be sent again behind our back.
      retry: { retries: 0 },
    });
    const connected = withPatience(client, this.#given.clock, producer.connect());
    // Whoever waits for it gets the error.
    connected.catch(() => undefined);
    return { client, producer, connected };
  }

  #discard(opened: Opened): void {
    if (this.#opened === opened) this.#opened = null;
    opened.client.breakOff();
    const discarding = opened.producer
      .disconnect()
      // It is broken already.
      .catch(() => undefined)
      .finally(() => this.#discarding.delete(discarding));
    this.#discarding.add(discarding);
  }
}

/** At most, on the wire. */
export function recordBytes({ key, bytes, headers }: Routed): number {
  let size = RECORD_OVERHEAD_BYTES + Buffer.byteLength(key) + bytes.length;
  for (const name in headers) size += Buffer.byteLength(name) + Buffer.byteLength(headers[name] ?? '');
  return size;
}

function messageOf({ key, bytes, headers }: Routed, partition: Partition): Message {
  // The bytes are a Buffer already, as they come from an encoder; the type only promises less.
  const value = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { key, value, partition, headers: { ...CONTENT_TYPE, ...headers } };
}

function firstOffset({ partition, errorCode, baseOffset }: RecordMetadata): readonly (readonly [Partition, bigint])[] {
  if (errorCode !== 0 || baseOffset === undefined) return [];
  // A partition that we named ourselves.
  return [[partition as Partition, BigInt(baseOffset)]];
}

// Owns one producer at a time: opened when something is to be sent, and thrown away after anything that went wrong.
import type { Message, Producer, RecordMetadata } from 'kafkajs';
import type { Partition } from '../../command/identity.ts';
import type { Parcel } from '../publish-queue.ts';
import type { Routed } from '../transport.ts';
import type { KafkaClient } from './client.ts';

/** How long the leader may wait for its replicas; below the client's own patience, so that it answers first. */
const REPLICAS_MS = 5_000;
const ALL_REPLICAS = -1;
const CONTENT_TYPE = { 'content-type': 'application/cloudevents+json; charset=UTF-8' } as const;

/** Nothing was sent: no producer could be connected. Inside this room only. */
export class NotConnected extends Error {}

interface Opened {
  readonly client: KafkaClient;
  readonly producer: Producer;
}

/**
 * kafkajs' idempotent producer can lose what was accepted: after a lost answer it gives the next entries the numbers of those whose
 * answer it lost, and the broker takes them for repeats. A plain producer has no such numbers. It sends each request once, one at a
 * time; after any error it is discarded, and whoever sent publishes the same entries again: the ledger knows the repeats.
 */
export class ProducerLink {
  readonly #open: () => KafkaClient;
  readonly #topic: string;
  #opened: Promise<Opened> | null = null;
  readonly #discarding = new Set<Promise<void>>();

  constructor(topic: string, open: () => KafkaClient) {
    this.#topic = topic;
    this.#open = open;
  }

  /** Resolves when a producer is connected; rejects with NotConnected. */
  async connect(): Promise<void> {
    await this.#connected();
  }

  /** The offset of each partition's first entry; a partition that is missing is not known. Rejects with NotConnected, or as kafkajs does. */
  async send(parcel: Parcel): Promise<ReadonlyMap<Partition, bigint>> {
    const opened = this.#connected();
    const { producer } = await opened;
    try {
      const records = await producer.send({
        topic: this.#topic,
        messages: [...parcel].flatMap(([partition, entries]) => entries.map((each) => messageOf(each, partition))),
        acks: ALL_REPLICAS,
        timeout: REPLICAS_MS,
      });
      return new Map(records.flatMap(firstOffset));
    } catch (cause) {
      this.#discard(opened);
      throw cause;
    }
  }

  /** Idempotent. What is on its way gets an error. */
  async close(): Promise<void> {
    if (this.#opened !== null) this.#discard(this.#opened);
    await Promise.all(this.#discarding);
  }

  #connected(): Promise<Opened> {
    return (this.#opened ??= this.#connect());
  }

  async #connect(): Promise<Opened> {
    const client = this.#open();
    const producer = client.kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: false,
      maxInFlightRequests: 1,
      // A request whose answer got lost must not be sent again behind our back.
      retry: { retries: 0 },
    });
    try {
      await producer.connect();
      return { client, producer };
    } catch (cause) {
      client.breakOff();
      this.#opened = null;
      throw new NotConnected('no producer could be connected', { cause });
    }
  }

  #discard(opened: Promise<Opened>): void {
    if (this.#opened === opened) this.#opened = null;
    const discarding = opened
      .then(async ({ client, producer }) => {
        client.breakOff();
        await producer.disconnect();
      })
      // It was never open, or is broken already.
      .catch(() => undefined)
      .finally(() => this.#discarding.delete(discarding));
    this.#discarding.add(discarding);
  }
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

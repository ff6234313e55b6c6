// Owns publishing: one message of a partition on its way at a time, its confirm followed by itself, and every doubt told as it is.
import type { ConfirmChannel } from 'amqplib';
import { newUuid, type Partition } from '../../command/identity.ts';
import type { OnelaneError } from '../../process/errors.ts';
import { inTime, type Clock } from '../../process/time.ts';
import { admit, BEHIND_REFUSED, type Refusal } from '../admission.ts';
import { BrokerAway } from '../broker-away.ts';
import type { Publisher, PublishResult, Routed } from '../transport.ts';
import { addressOf, queueMissing, REPLY, replyCode } from './broker-errors.ts';
import type { BrokerConnection, RabbitAccess } from './client.ts';
import type { ConnectionSlot } from './connection-slot.ts';
import { cutMessages, encodeMessage } from './outgoing.ts';
import { queueName } from './queues.ts';

/** Longer than a queue takes to agree with its replicas; then nobody knows. */
const CONFIRM_MS = 8_000;
const CLOSE_GRACE_MS = 2_000;
const DISCARD_MS = 2_000;

export interface RabbitPublisherGiven {
  readonly slot: ConnectionSlot;
  readonly access: RabbitAccess;
  readonly channel: string;
  readonly partitions: number;
  readonly explain: (thrown: unknown) => OnelaneError;
  /** A message with so many entries was stored. */
  readonly onStored: (partition: Partition, entries: number) => void;
  readonly clock: Clock;
}

type Fate = PublishResult;
const STORED: Fate = { kind: 'stored', position: null };
const CLOSED: Refusal = { kind: 'refused', reason: 'the publisher is closed', retry: false };

/** A channel of one partition's own: what goes wrong with one queue disturbs no other. */
interface Way {
  readonly connection: BrokerConnection;
  readonly channel: ConfirmChannel;
  /** The message that is on its way comes back. */
  onReturned: () => void;
  isGone: boolean;
  /** Why the broker ended it. */
  cause: Error | null;
}

export class RabbitPublisher implements Publisher {
  readonly #given: RabbitPublisherGiven;
  readonly #ways = new Map<Partition, Way>();
  readonly #onTheirWay = new Set<Promise<unknown>>();
  readonly #name = newUuid();
  #messages = 0;
  #closing: Promise<void> | null = null;
  #isBrokenOff = false;

  private constructor(given: RabbitPublisherGiven) {
    this.#given = given;
  }

  /** Throws a sentence when the broker cannot be reached. */
  static async open(given: RabbitPublisherGiven): Promise<RabbitPublisher> {
    await given.slot.get();
    return new RabbitPublisher(given);
  }

  /** Not while the broker has an alarm: then it takes nothing from anybody. */
  takes(): boolean {
    return this.#blocked() === null;
  }

  async publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    const results: (PublishResult | null)[] = [...admit(batch, this.#given.partitions)];
    if (this.#closing !== null) return results.map((known) => known ?? CLOSED);
    const parts = new Map<Partition, number[]>();
    batch.forEach(({ partition }, index) => {
      if (results[index] !== null) return;
      const part = parts.get(partition);
      if (part === undefined) parts.set(partition, [index]);
      else part.push(index);
    });
    const sending = Promise.all(
      [...parts].map(async ([partition, indexes]) => {
        const entries = indexes.flatMap((index) => batch[index] ?? []);
        const fates = await this.#sendPart(partition, entries);
        indexes.forEach((index, at) => (results[index] = fates[at] ?? BEHIND_REFUSED));
      }),
    );
    this.#onTheirWay.add(sending);
    await sending;
    this.#onTheirWay.delete(sending);
    return results.map((known) => known ?? BEHIND_REFUSED);
  }

  /** Waits a while for what is on its way; what has no answer by then is unknown. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await inTime(Promise.all(this.#onTheirWay), CLOSE_GRACE_MS, this.#given.clock);
    this.#isBrokenOff = true;
    await this.#given.slot.close();
    await Promise.all(this.#onTheirWay);
  }

  /** Message after message; nothing goes out behind one that was not stored. Never rejects. */
  async #sendPart(partition: Partition, entries: readonly Routed[]): Promise<readonly Fate[]> {
    const fates: Fate[] = [];
    for (const cut of cutMessages(entries)) {
      const fate: Fate =
        cut.kind === 'message'
          ? await this.#send(partition, cut.entries)
          : { kind: 'refused', reason: cut.reason, retry: false };
      if (fate.kind === 'stored') this.#given.onStored(partition, cut.entries.length);
      for (const _ of cut.entries) fates.push(fate);
      if (fate.kind !== 'stored') break;
    }
    return fates;
  }

  async #send(partition: Partition, entries: readonly Routed[]): Promise<Fate> {
    const blocked = this.#blocked();
    if (blocked !== null) return { kind: 'refused', reason: blocked, retry: true };
    if (this.#isBrokenOff) return CLOSED;
    let way: Way;
    try {
      way = await this.#wayOf(partition);
    } catch (thrown) {
      // Nothing was sent.
      return { kind: 'refused', reason: this.#given.explain(thrown).message, retry: true };
    }
    const confirmed = this.#publishOn(way, partition, entries);
    return await this.#inTime(way, partition, confirmed);
  }

  #publishOn(way: Way, partition: Partition, entries: readonly Routed[]): Promise<Fate> {
    const { channel, clock } = this.#given;
    const messageId = `${this.#name}-${this.#messages++}`;
    const { content, options } = encodeMessage(entries, { messageId, appendedAt: clock.now() });
    return new Promise((resolve) => {
      let isReturned = false;
      way.onReturned = () => (isReturned = true);
      const queue = queueName(channel, partition);
      try {
        // One message of the partition is on its way at a time: what amqplib buffers is bounded by that, and no drain is waited for.
        way.channel.publish('', queue, content, options, (refusal: unknown) => {
          if (refusal === null && !isReturned) resolve(STORED);
          else if (refusal === null)
            resolve({ kind: 'refused', reason: queueMissing({ channel }).message, retry: true });
          else if (way.isGone) resolve(this.#lost(way));
          else resolve({ kind: 'refused', reason: FULL(queue), retry: true });
        });
      } catch (thrown) {
        // The channel had ended before anything was written.
        this.#discard(partition, way);
        resolve({ kind: 'refused', reason: this.#given.explain(thrown).message, retry: true });
      }
    });
  }

  /** While the broker has said that it takes nothing, its silence is no doubt: it may still read what was written. */
  async #inTime(way: Way, partition: Partition, confirmed: Promise<Fate>): Promise<Fate> {
    const { clock } = this.#given;
    for (;;) {
      let fate: Fate | null = null;
      await inTime(
        confirmed.then((known) => (fate = known)),
        CONFIRM_MS,
        clock,
      );
      if (fate !== null) return fate;
      if (way.connection.blockedBy !== null && !way.isGone) continue;
      // Whatever comes now is not heard; and nothing later of the partition goes over this channel.
      this.#discard(partition, way);
      return { kind: 'unknown', cause: new BrokerAway(`the broker has not confirmed within ${CONFIRM_MS} ms`) };
    }
  }

  /** A broker that has ended the channel for want of a right has stored nothing. Of any other end nobody knows. */
  #lost({ connection, cause }: Way): Fate {
    const { explain } = this.#given;
    if (replyCode(cause) === REPLY.accessRefused)
      return { kind: 'refused', reason: explain(cause).message, retry: true };
    const reason: unknown = connection.gone.aborted ? connection.gone.reason : cause;
    return { kind: 'unknown', cause: explain(reason ?? new BrokerAway('the channel to the broker has ended')) };
  }

  #blocked(): string | null {
    const { slot, access } = this.#given;
    const reason = slot.current?.blockedBy ?? null;
    return reason === null
      ? null
      : `the broker at ${addressOf(access)} takes nothing at the moment (${reason}): free memory or disk there`;
  }

  async #wayOf(partition: Partition): Promise<Way> {
    const known = this.#ways.get(partition);
    if (known !== undefined && !known.isGone) return known;
    const connection = await this.#given.slot.get();
    const channel = await connection.confirmChannel();
    const way: Way = { connection, channel, onReturned: () => undefined, isGone: false, cause: null };
    // Before amqplib's own listener, which answers for what was not confirmed.
    channel.prependListener('close', () => (way.isGone = true));
    channel.on('error', (cause) => (way.cause = cause));
    channel.on('return', () => way.onReturned());
    this.#ways.set(partition, way);
    return way;
  }

  #discard(partition: Partition, way: Way): void {
    if (this.#ways.get(partition) === way) this.#ways.delete(partition);
    if (way.isGone) return;
    way.isGone = true;
    void way.connection.endChannel(way.channel, DISCARD_MS);
  }
}

const FULL = (queue: string): string =>
  `queue "${queue}" is full, or could not store it: come again when consumers have emptied some of it`;

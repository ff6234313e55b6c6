// Owns one channel that consumes one queue, from its opening to its end. What it delivered and nobody acked is delivered again elsewhere.
import type { Channel, ConsumeMessage } from 'amqplib';
import { BrokerAway } from '../broker-away.ts';
import type { BrokerConnection } from './client.ts';

export interface LaneChannelGiven {
  readonly connection: BrokerConnection;
  readonly queue: string;
  /** Messages that may be unacked. */
  readonly prefetch: number;
  readonly onMessage: (message: ConsumeMessage) => void;
  /** Once, unless it is closed before: the broker has ended it, or the consumer, or the connection is gone. */
  readonly onGone: (cause: Error) => void;
}

/** The broker answers behind everything that it has sent already, which may be a lot. */
const CLOSE_MS = 4_000;

export class LaneChannel {
  readonly #given: LaneChannelGiven;
  readonly #channel: Channel;
  #cause: Error | null = null;
  #isOver = false;
  #closing: Promise<void> | null = null;

  private constructor(given: LaneChannelGiven, channel: Channel) {
    this.#given = given;
    this.#channel = channel;
    channel.on('error', (cause) => (this.#cause ??= cause));
    channel.on('close', () => this.#gone(this.#cause ?? new BrokerAway('the channel to the broker has ended')));
  }

  /** Rejects as amqplib does. */
  static async open(given: LaneChannelGiven): Promise<LaneChannel> {
    const { connection, queue } = given;
    const channel = await connection.channel();
    const opened = new LaneChannel(given, channel);
    await connection.ask(() => channel.prefetch(given.prefetch));
    await connection.ask(() => channel.consume(queue, (message) => opened.#consumed(message)));
    return opened;
  }

  get prefetch(): number {
    return this.#given.prefetch;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** With everything before it. One that gets lost is a redelivery. */
  ack(deliveryTag: number): void {
    if (this.#isOver) return;
    const { ack } = this.#channel;
    // All that amqplib takes of a message is its tag.
    ack.call(this.#channel, { fields: { deliveryTag } } as ConsumeMessage, true);
  }

  /** Nothing is delivered any more when this is called; resolves when the broker has let go, or after a while. Idempotent. */
  close(): Promise<void> {
    this.#isOver = true;
    return (this.#closing ??= this.#given.connection.endChannel(this.#channel, CLOSE_MS));
  }

  #consumed(message: ConsumeMessage | null): void {
    if (this.#isOver) return;
    if (message !== null) this.#given.onMessage(message);
    else this.#cancelled();
  }

  /** The queue was deleted, or has moved. */
  #cancelled(): void {
    this.#gone(new BrokerAway(`the broker has cancelled the consumer of queue "${this.#given.queue}"`));
    void this.close();
  }

  #gone(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { connection, onGone } = this.#given;
    onGone(connection.gone.aborted && connection.gone.reason instanceof Error ? connection.gone.reason : cause);
  }
}

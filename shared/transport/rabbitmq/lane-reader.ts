// Owns keeping a lane supplied: one consuming channel, rebuilt with back-off when it ends, closed while nothing more can be taken.
import type { ConsumeMessage } from 'amqplib';
import { asError, type OnelaneError } from '../../process/errors.ts';
import { backoffMs, type Clock, type Random } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import type { BrokerConnection } from './client.ts';
import type { ConnectionSlot } from './connection-slot.ts';
import { LaneChannel } from './lane-channel.ts';

export interface LaneReaderGiven {
  readonly slot: ConnectionSlot;
  readonly queue: string;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
  readonly random: Random;
  readonly onMessage: (message: ConsumeMessage) => void;
  /** The channel has ended, for whatever reason: everything unacked will be delivered again. */
  readonly onBroken: () => void;
  readonly onOpened: (prefetch: number) => void;
  /** Why nothing can be read; null: it can again. */
  readonly onAway: (cause: OnelaneError | null) => void;
}

const OPEN_AGAIN = { firstMs: 50, maxMs: 2_000 };

//   resting ──open──▶ opening ──▶ open ──(ended)──▶ opening, with back-off, until it is open again
//      ▲                 └────────rest/close─┴───▶ resting: the channel is closed, everything unacked goes back to the queue
export class LaneReader {
  readonly #given: LaneReaderGiven;
  #channel: LaneChannel | null = null;
  /** So many messages whoever came before may have left unacked. */
  #floor = 0;
  /** Counts openings: one that was overtaken is closed again. */
  #turn = 0;
  #stopWaiting = new AbortController();

  constructor(given: LaneReaderGiven) {
    this.#given = given;
  }

  /** Of the channel that stands; null: none does. */
  get prefetch(): number | null {
    return this.#channel?.prefetch ?? null;
  }

  /** Rejects with a sentence when it cannot be opened now. `floor`: so many messages whoever came before may have left unacked. */
  async open(prefetch: number, floor: number): Promise<void> {
    const turn = ++this.#turn;
    this.#floor = floor;
    await this.#open(prefetch, turn);
  }

  /** The same behind the caller's back; tried until it is done. */
  openSoon(prefetch: number): void {
    const turn = ++this.#turn;
    void this.#openUntilDone(prefetch, turn, 0);
  }

  ack(deliveryTag: number): void {
    this.#channel?.ack(deliveryTag);
  }

  /** Resolves when the broker has let go of the channel. Idempotent. */
  async rest(): Promise<void> {
    this.#turn++;
    this.#stopWaiting.abort();
    this.#stopWaiting = new AbortController();
    const channel = this.#channel;
    this.#channel = null;
    if (channel === null) return;
    this.#given.onBroken();
    await channel.close();
  }

  /** Never rejects. */
  async #openUntilDone(prefetch: number, turn: number, failures: number): Promise<void> {
    const { clock, random, onAway } = this.#given;
    for (let attempt = failures; turn === this.#turn; attempt++) {
      if (attempt > 0) await clock.sleep(backoffMs(attempt, random, OPEN_AGAIN), this.#stopWaiting.signal);
      if (turn !== this.#turn) return;
      try {
        await this.#open(prefetch, turn);
        return;
      } catch (thrown) {
        if (turn === this.#turn) onAway(this.#given.explain(thrown));
      }
    }
  }

  async #open(prefetch: number, turn: number): Promise<void> {
    const { slot, queue, explain, onMessage, onOpened, onAway } = this.#given;
    const before = this.#channel;
    this.#channel = null;
    if (before !== null) {
      this.#given.onBroken();
      await before.close();
    }
    try {
      const connection = await slot.get();
      const early: ConsumeMessage[] = [];
      let channel: LaneChannel | null = null;
      const allowed = await this.#allowed(connection, prefetch);
      const opened = await LaneChannel.open({
        connection,
        queue,
        prefetch: allowed,
        // Some may come before the opening has been told.
        onMessage: (message) => {
          if (channel === null) early.push(message);
          else if (this.#channel === channel) onMessage(message);
        },
        onGone: (cause) => this.#ended(channel, cause, turn),
      });
      if (turn !== this.#turn) {
        await opened.close();
        return;
      }
      if (opened.isOver) throw new BrokerAway(`the broker has ended the consumer of queue "${queue}" at once`);
      channel = opened;
      this.#channel = opened;
      this.#floor = allowed;
      onOpened(allowed);
      onAway(null);
      for (const message of early) if (this.#channel === opened) onMessage(message);
    } catch (thrown) {
      throw explain(thrown);
    }
  }

  /** Fewer than before only if no more are there to go back, and nobody has one in hand. */
  async #allowed(connection: BrokerConnection, wanted: number): Promise<number> {
    if (wanted >= this.#floor) return wanted;
    const asking = await connection.channel();
    const { messageCount, consumerCount } = await connection.ask(() => asking.checkQueue(this.#given.queue));
    await connection.ask(() => asking.close());
    return messageCount <= wanted && consumerCount === 0 ? wanted : this.#floor;
  }

  #ended(channel: LaneChannel | null, cause: Error, turn: number): void {
    if (channel === null || this.#channel !== channel) return;
    this.#channel = null;
    this.#given.onBroken();
    this.#given.onAway(this.#given.explain(asError(cause)));
    void this.#openUntilDone(channel.prefetch, turn, 1);
  }
}

// Owns the stamps: what a lane has committed last, kept at the broker, so that a database that went back in time is found out.
import type { ConfirmChannel } from 'amqplib';
import { z } from 'zod';
import { epoch as epochOf, type Epoch, type Partition, type Uuid } from '../../command/identity.ts';
import { asError, type OnelaneError } from '../../process/errors.ts';
import type { Clock } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import { queueMissing } from './broker-errors.ts';
import type { BrokerConnection } from './client.ts';
import type { ConnectionSlot } from './connection-slot.ts';
import { stampName } from './queues.ts';

/** Written after the database has committed, and confirmed before the broker may forget what it stands for. */
export interface Stamp {
  readonly system: Uuid;
  /** Of the claim under which they were committed; null: a stamp from before it had one. */
  readonly epoch: Epoch | null;
  /** Transactions that the database had committed for the partition. */
  readonly commits: bigint;
  /** The message whose entries were settled last, and how many of its entries, from its first on; null: none was yet. */
  readonly head: { readonly key: string; readonly settled: number } | null;
  /** Append time of the last of them. */
  readonly appendedAt: Date;
  /** So many messages a channel may have had unacked, and no more. */
  readonly prefetch: number;
}

const stampSchema = z.object({
  system: z.string(),
  epoch: z
    .string()
    .regex(/^\d{1,19}$/)
    .nullish(),
  commits: z.string().regex(/^\d{1,19}$/),
  head: z.object({ key: z.string(), settled: z.int().min(0) }).nullable(),
  appendedAt: z.iso.datetime(),
  prefetch: z.int().min(1).max(65_535),
});

/** Who reads a stamp has it in hand for a moment, or until its connection ends; the queue is empty for everybody else meanwhile. */
const LOOKS = { expected: { max: 40, everyMs: 100 }, 'not-expected': { max: 2, everyMs: 20 } } as const;
const CONFIRM_MS = 5_000;

/** null: nothing was ever settled, or the queue was made anew. Rejects as amqplib does. */
export async function readStamp(
  connection: BrokerConnection,
  of: {
    readonly channel: string;
    readonly partition: Partition;
    readonly stamp: 'expected' | 'not-expected';
    readonly clock: Clock;
  },
): Promise<Stamp | null> {
  const queue = stampName(of.channel, of.partition);
  const { max, everyMs } = LOOKS[of.stamp];
  const asking = await connection.channel();
  try {
    for (let looks = 1; ; looks++) {
      const message = await connection.ask(() => asking.get(queue, { noAck: false }));
      if (message !== false) {
        asking.nack(message, false, true);
        return parseStamp(message.content);
      }
      if (looks === max) return null;
      await of.clock.sleep(everyMs);
    }
  } finally {
    // A channel that the broker ended is closed already.
    await connection.ask(() => asking.close()).catch(() => undefined);
  }
}

/** What is no stamp of ours says nothing. */
function parseStamp(content: Buffer): Stamp | null {
  const parsed = stampSchema.safeParse(jsonOf(content.toString()));
  if (!parsed.success) return null;
  const { system, epoch, commits, head, appendedAt, prefetch } = parsed.data;
  return {
    // Compared with an id, and never taken for one.
    system: system as Uuid,
    epoch: epoch == null ? null : epochOf(epoch),
    commits: BigInt(commits),
    head,
    appendedAt: new Date(appendedAt),
    prefetch,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export interface StampWriterGiven {
  /** A connection of its own: an alarm stops reading from one that publishes, and with it any ack on it. */
  readonly slot: Pick<ConnectionSlot, 'get' | 'close'>;
  readonly channel: string;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
}

export class StampWriter {
  readonly #given: StampWriterGiven;
  #opening: Promise<ConfirmChannel> | null = null;
  #written = 0;
  /** Ids of stamps that no queue took; each is confirmed right behind. */
  readonly #returned = new Set<string>();

  constructor(given: StampWriterGiven) {
    this.#given = given;
  }

  /** Resolves when it is safe at the broker; rejects with a sentence when that is not known in time, or by `stop`. */
  async write(partition: Partition, stamp: Stamp, stop: AbortSignal): Promise<void> {
    const { clock, explain } = this.#given;
    const over = new AbortController();
    const end = () => over.abort();
    stop.addEventListener('abort', end, { once: true });
    if (stop.aborted) end();
    const late = clock.sleep(CONFIRM_MS, over.signal).then(() => {
      throw new BrokerAway(`the stamp of partition ${partition} was not confirmed in time`);
    });
    try {
      await Promise.race([this.#publish(partition, stamp, over.signal), late]);
    } catch (thrown) {
      throw explain(thrown);
    } finally {
      stop.removeEventListener('abort', end);
      over.abort();
    }
  }

  async #publish(partition: Partition, stamp: Stamp, over: AbortSignal): Promise<void> {
    const content = Buffer.from(
      JSON.stringify({ ...stamp, epoch: stamp.epoch?.toString() ?? null, commits: String(stamp.commits) }),
    );
    const messageId = String(this.#written++);
    const options = { mandatory: true, persistent: true, contentType: 'application/json', messageId };
    const prefix = this.#given.channel;
    const opening = this.#open();
    const channel = await opening;
    // Whoever asked has given it up, and another lane's stamp may stand there by now.
    if (over.aborted) throw new BrokerAway(`the stamp of partition ${partition} came too late`);
    await new Promise<void>((resolve, reject) => {
      try {
        channel.publish('', stampName(prefix, partition), content, options, (refusal: unknown) => {
          if (this.#returned.delete(messageId)) reject(queueMissing({ channel: prefix }));
          else if (refusal === null) resolve();
          else reject(new BrokerAway(`the stamp of partition ${partition} was not stored`, { cause: refusal }));
        });
      } catch (thrown) {
        // The channel had ended before anybody listened.
        this.#forget(opening);
        reject(asError(thrown));
      }
    });
  }

  async close(): Promise<void> {
    await this.#given.slot.close();
  }

  #open(): Promise<ConfirmChannel> {
    if (this.#opening !== null) return this.#opening;
    const opening = this.#given.slot
      .get()
      .then((connection) => connection.confirmChannel())
      .then((channel) => {
        channel.on('close', () => this.#forget(opening));
        channel.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)));
        return channel;
      });
    this.#opening = opening;
    opening.catch(() => this.#forget(opening));
    return opening;
  }

  #forget(opening: Promise<ConfirmChannel>): void {
    if (this.#opening === opening) this.#opening = null;
  }
}

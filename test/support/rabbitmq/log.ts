// Owns queues as a test's log: transports of the product over them, a stranger's publishing and an administrator's hand.
import { randomBytes } from 'node:crypto';
import { connect, type Channel, type ChannelModel, type Options } from 'amqplib';
import { rabbitOf } from '../../../operators/wiring/rabbitmq-settings.ts';
import { HEADER, type Delivery } from '../../../shared/command/entry.ts';
import { newCommandId, newUuid, trustedKey, type Partition, type Uuid } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { Latest } from '../../../shared/process/latest.ts';
import { systemClock } from '../../../shared/process/time.ts';
import {
  rabbitTransport,
  type RabbitTransport,
  type RabbitTransportGiven,
} from '../../../shared/transport/rabbitmq/index.ts';
import { queueName, stampName } from '../../../shared/transport/rabbitmq/queues.ts';
import type { Lane, Resume, Routed, Transport } from '../../../shared/transport/transport.ts';

export interface TestLog {
  readonly channel: string;
  readonly systemId: Uuid;
  /** What all transports of this log observed. */
  readonly events: readonly OnelaneEvent[];
  /** Closed with the log. */
  open(more?: Partial<RabbitTransportGiven>): RabbitTransport;
  /** A lane of a subscription of its own, started; both end with `release`. */
  lane(transport: Transport, partition: Partition, at?: Partial<Resume>): Promise<Lane>;
  /** With all rights. */
  readonly admin: Channel;
  /** As a publisher that knows nothing of Onelane. */
  publishAs(partition: Partition, content: string | Buffer, options?: Options.Publish): Promise<void>;
  close(): Promise<void>;
}

export interface TestLogGiven {
  readonly url: string;
  readonly partitions: number;
}

export async function openTestLog({ url, partitions }: TestLogGiven): Promise<TestLog> {
  const channel = `log-${randomBytes(6).toString('hex')}`;
  const systemId = newUuid();
  const events: OnelaneEvent[] = [];
  const opened: RabbitTransport[] = [];
  const { connection, admin } = await openAdmin(url);
  const closing: (() => Promise<unknown>)[] = [];
  const open: TestLog['open'] = (more = {}) => {
    const transport = rabbitTransport({
      ...rabbitOf({ rabbitmqUrl: url, rabbitmqSslCa: null }),
      channel,
      partitions,
      systemId,
      // Who kills its node says otherwise.
      newMs: 0,
      leaseMs: 4_000,
      inboxBytesMax: 16 * 1024 * 1024,
      observe: (event) => events.push(event),
      clock: systemClock,
      random: Math.random,
      ...more,
    });
    opened.push(transport);
    return transport;
  };
  return {
    channel,
    systemId,
    events,
    open,
    lane: async (transport, partition, at = {}) => {
      const { lane, close } = await openLane(transport, partition, at);
      closing.push(close);
      return lane;
    },
    admin,
    publishAs: async (partition, content, options = {}) => {
      const publishing = await connection.createConfirmChannel();
      await new Promise<void>((resolve, reject) => {
        publishing.publish('', queueName(channel, partition), Buffer.from(content), options, (refusal: unknown) => {
          if (refusal === null) resolve();
          else reject(new Error('the broker did not take it', { cause: refusal }));
        });
      });
      await publishing.close();
    },
    close: async () => {
      for (const close of closing.splice(0).reverse()) await close();
      await Promise.all(opened.map((each) => each.close()));
      // The broker may have ended the one that was there.
      await connection.close().catch(() => undefined);
      const last = await openAdmin(url);
      for (let partition = 0; partition < partitions; partition++) {
        await last.admin.deleteQueue(queueName(channel, partition));
        await last.admin.deleteQueue(stampName(channel, partition));
      }
      await last.connection.close();
    },
  };
}

async function openAdmin(url: string): Promise<{ readonly connection: ChannelModel; readonly admin: Channel }> {
  const connection = await connect(url);
  // A test may have the broker end it.
  connection.on('error', () => undefined);
  return { connection, admin: await connection.createChannel() };
}

async function openLane(
  transport: Transport,
  partition: Partition,
  at: Partial<Resume>,
): Promise<{ readonly lane: Lane; close(): Promise<void> }> {
  const subscription = await transport.openSubscription(new Latest<ReadonlySet<Partition>>(new Set([partition])));
  const stop = new AbortController();
  const lanes = subscription.lanes(stop.signal)[Symbol.asyncIterator]();
  const first = await lanes.next();
  if (first.done === true) throw new Error('a lane is yielded');
  const lane: Lane = first.value;
  const close = async () => {
    await lane.release();
    stop.abort();
    await lanes.return?.();
    await subscription.close();
  };
  try {
    await lane.start({ next: null, last: null, commits: 0n, ...at });
    return { lane, close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** An entry as our own publishers make them. */
export function entryOf({ systemId }: Pick<TestLog, 'systemId'>, partition: Partition, text: string): Routed {
  return {
    partition,
    key: trustedKey(`test/${partition}`),
    id: newCommandId(),
    bytes: Buffer.from(text),
    headers: { [HEADER.system]: systemId, [HEADER.layout]: '1' },
  };
}

export function entriesOf(log: TestLog, partition: Partition, prefix: string, count: number): readonly Routed[] {
  return Array.from({ length: count }, (_, index) => entryOf(log, partition, `${prefix}${index}`));
}

/** At least `count` deliveries; what a broker that is away makes of a call is tried again. */
export async function take(lane: Lane, count: number): Promise<readonly Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count && !lane.lost.aborted) {
    const limit = { count: count - taken.length, bytes: 1 << 20, waitMs: 50 };
    // Not at once: a lane that was released refuses at once, and a test that is over could not end.
    taken.push(...(await lane.next(limit).catch(() => systemClock.sleep(20).then(() => []))));
  }
  return taken;
}

export function texts(deliveries: readonly Delivery[]): readonly string[] {
  return deliveries.map(({ bytes }) => Buffer.from(bytes).toString());
}

/** The code and the sentence of what `work` throws. */
export async function told(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'nothing';
  } catch (thrown) {
    return thrown instanceof Error ? `${thrown.message} [${'code' in thrown ? String(thrown.code) : ''}]` : 'no error';
  }
}

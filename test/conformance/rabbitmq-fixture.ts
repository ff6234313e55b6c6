// Owns the rabbitmq transport as the suite sees it: queues of its own per log, and a gate of its own per process.
import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import { rabbitOf } from '../../operators/wiring/rabbitmq-settings.ts';
import { newUuid, type Partition, type Uuid } from '../../shared/command/identity.ts';
import type { Observe } from '../../shared/process/events.ts';
import { systemClock } from '../../shared/process/time.ts';
import { rabbitTransport } from '../../shared/transport/rabbitmq/index.ts';
import { queueName, stampName, type QueueLimits } from '../../shared/transport/rabbitmq/queues.ts';
import type { Lane, Subscription, Transport } from '../../shared/transport/transport.ts';
import { openTcpGate } from '../support/tcp-gate.ts';
import { cannot, type ConformanceFixture, type ProcessUnderTest } from './suite/fixture.ts';

const PATIENCE_MS = 30_000;
const LEASE_MS = 4_000;

/**
 * `url` is asked when the first case begins. That answers can get lost is not declared: the suite would look from another process whether
 * entries have arrived, and this broker tells nobody of messages that are in a lane's hands. A test of its own proves it.
 */
export function rabbitFixture(name: string, url: () => string): ConformanceFixture {
  return {
    name,
    traits: { positions: 'lane', assigns: 'by-lease', carriedBy: 'the broker' },
    abilities: ['away', 'connections', 'inbox-bytes'],
    patienceMs: PATIENCE_MS,
    quietMs: 300,
    bundle({ partitions }) {
      const channel = `conformance-${randomBytes(6).toString('hex')}`;
      const systemId = newUuid();
      const commits = new Commits();
      return Promise.resolve({
        systemId,
        openProcess: async (options) => {
          const process = await openRabbitProcess({ url: url(), channel, partitions, systemId, ...options });
          return { ...process, transport: commits.known(process.transport) };
        },
        recreate: cannot,
        truncate: cannot,
        close: () => deleteQueues(url(), channel, partitions),
      });
    },
  };
}

/**
 * What a database would say: at least as many transactions as lanes have settled. The suite's lanes start with none where positions are
 * not stored, and this adapter rightly takes a database that knows less than the broker for one that went back in time.
 */
class Commits {
  readonly #settled = new Map<Partition, bigint>();

  known(transport: Transport): Transport {
    return {
      ...transport,
      openSubscription: async (mine) => this.#subscription(await transport.openSubscription(mine)),
    };
  }

  #subscription(subscription: Subscription): Subscription {
    const lane = (each: Lane) => this.#lane(each);
    return {
      lanes: async function* (stop) {
        for await (const each of subscription.lanes(stop)) yield lane(each);
      },
      close: () => subscription.close(),
    };
  }

  #lane(lane: Lane): Lane {
    const { partition, lost } = lane;
    const settled = () => this.#settled.get(partition) ?? 0n;
    return {
      partition,
      lost,
      start: (at) => lane.start({ ...at, commits: at.commits > settled() ? at.commits : settled() }),
      next: (limit) => lane.next(limit),
      settle: (through, commits) => {
        if (commits > settled()) this.#settled.set(partition, commits);
        return lane.settle(through, commits);
      },
      release: () => lane.release(),
    };
  }
}

export interface RabbitProcessGiven {
  readonly url: string;
  readonly channel: string;
  readonly partitions: number;
  readonly systemId: Uuid;
  readonly inboxBytesMax?: number;
  readonly limits?: QueueLimits;
  readonly observe?: Observe;
}

/** Every connection goes through one gate. */
export async function openRabbitProcess(given: RabbitProcessGiven): Promise<ProcessUnderTest> {
  const { access } = rabbitOf({ rabbitmqUrl: given.url, rabbitmqSslCa: null });
  const gate = await openTcpGate(`tcp://${access.host}:${access.port}`);
  const transport = rabbitTransport({
    access: { ...access, host: '127.0.0.1', port: Number(new URL(gate.url).port) },
    channel: given.channel,
    partitions: given.partitions,
    systemId: given.systemId,
    leaseMs: LEASE_MS,
    // Nobody kills its node.
    newMs: 0,
    inboxBytesMax: given.inboxBytesMax ?? 16 * 1024 * 1024,
    ...(given.limits === undefined ? {} : { limits: given.limits }),
    observe: given.observe ?? (() => undefined),
    clock: systemClock,
    random: Math.random,
  });
  return {
    transport,
    cut: () => Promise.resolve(gate.refuse()),
    loseAnswers: () => Promise.resolve(gate.swallowAnswers()),
    restore: () => Promise.resolve(gate.admit()),
    connections: () => gate.connections(),
    inboxBytes: () => transport.inboxBytes(),
    close: () => gate.close(),
  };
}

export async function deleteQueues(url: string, channel: string, partitions: number): Promise<void> {
  const connection = await connect(url);
  try {
    const deleting = await connection.createChannel();
    for (let partition = 0; partition < partitions; partition++) {
      await deleting.deleteQueue(queueName(channel, partition));
      await deleting.deleteQueue(stampName(channel, partition));
    }
  } finally {
    await connection.close();
  }
}

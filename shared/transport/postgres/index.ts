// Owns the front door of the postgres transport: the database that takes the writes also carries the commands.
import { partition as partitionAt, position, type Uuid } from '../../command/identity.ts';
import type { Database } from '../../postgres/database.ts';
import { appendedChannel, openNotifier } from '../../postgres/notify.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock } from '../../process/time.ts';
import { LogPartitionsDiffer } from '../log-partitions-differ.ts';
import type { Publisher, Subscription, Transport } from '../transport.ts';
import type { Appended } from './append.ts';
import { appendStatements } from './append-sql.ts';
import { openLogClients } from './clients.ts';
import { logEnds, provisionLog, writeHints } from './heads.ts';
import { pageStatements } from './page.ts';
import { PostgresPublisher, PUBLISHER_CLIENTS_MAX } from './publisher.ts';
import { PostgresSubscription } from './subscription.ts';

export interface PostgresTransportGiven {
  readonly database: Database;
  readonly systemId: Uuid;
  /** Settled entries older than this are deleted. */
  readonly logRetentionMs: number;
  /** Of all that the lanes of one subscription have read ahead. */
  readonly inboxBytesMax: number;
  readonly observe: Observe;
  readonly clock: Clock;
}

/** At most so often is said that something was appended. */
const HINT_EVERY_MS = 5;

export interface PostgresTransport extends Transport {
  /** What the lanes of this process have read ahead and not handed out. */
  inboxBytes(): number;
}

/** The tables come with the migrations; the database stays the caller's to close. */
export function postgresTransport(given: PostgresTransportGiven): PostgresTransport {
  const { database } = given;
  const subscriptions = new Set<PostgresSubscription>();
  const handOver = (appended: Appended) => [...subscriptions].some((subscription) => subscription.handOver(appended));
  return {
    traits: { positions: 'stored', assigns: 'by-lease', carriedBy: 'the database' },
    provision: (partitions) => provisionLog(database, partitions),
    openPublisher: () => openPublisher(given, handOver),
    async openSubscription(mine) {
      const subscription = new PostgresSubscription(mine, {
        ...given,
        statements: pageStatements(database.schema),
        partitions: await countPartitions(database),
      });
      subscriptions.add(subscription);
      const opened: Subscription = {
        lanes: (stop) => subscription.lanes(stop),
        close: () => {
          subscriptions.delete(subscription);
          return subscription.close();
        },
      };
      return opened;
    },
    async ends() {
      const ends = await logEnds(database.pool, database.schema);
      return ends.map((end, index) => ({ partition: partitionAt(index), next: position(end), waiting: null }));
    },
    inboxBytes: () => [...subscriptions].reduce((sum, each) => sum + each.budget.heldBytes, 0),
    close: () => Promise.resolve(),
  };
}

async function openPublisher(
  given: PostgresTransportGiven,
  handOver: (appended: Appended) => boolean,
): Promise<Publisher> {
  const { database, observe, clock } = given;
  const partitions = await countPartitions(database);
  const notifier = openNotifier({
    url: database.url,
    channel: appendedChannel(database.schema),
    intervalMs: HINT_EVERY_MS,
    observe,
    clock,
  });
  const publisher = new PostgresPublisher({
    clients: openLogClients({ url: database.url, what: 'log publisher', max: PUBLISHER_CLIENTS_MAX, observe, clock }),
    statements: appendStatements(database.schema),
    partitions,
    clock,
    onAppended: (appended) => {
      const elsewhere = appended.filter((each) => !handOver(each));
      const ends = elsewhere.map(({ partition, first, entries }) => [partition, first + entries.length] as const);
      for (const payload of writeHints(new Map(ends))) notifier.hint(payload);
    },
  });
  return {
    publish: (batch) => publisher.publish(batch),
    close: async () => {
      await publisher.close();
      await notifier.close();
    },
  };
}

async function countPartitions(database: Database): Promise<number> {
  const { length } = await logEnds(database.pool, database.schema);
  if (length === 0) throw new LogPartitionsDiffer(0, 1);
  return length;
}

// Owns publishing: what waits together goes in one statement, and every doubt is told as it is.
import pg from 'pg';
import { position, type Partition } from '../../command/identity.ts';
import { asError } from '../../process/errors.ts';
import type { Clock } from '../../process/time.ts';
import { PublishQueue, type Fate, type Parcel } from '../publish-queue.ts';
import type { Publisher, PublishResult, Routed } from '../transport.ts';
import { append, type Appended } from './append.ts';
import type { AppendStatements } from './append-sql.ts';
import type { LogClients } from './clients.ts';

/** Each flushes to disk on its own; with more of them fewer calls share a flush. */
export const PUBLISHER_CLIENTS_MAX = 2;
const PARCEL_BYTES_MAX = 4 * 1024 * 1024;
const PARCEL_LIMITS = { entries: 5_000, bytes: PARCEL_BYTES_MAX, partitionBytes: PARCEL_BYTES_MAX };

export interface PublisherGiven {
  readonly clients: LogClients;
  readonly statements: AppendStatements;
  readonly partitions: number;
  readonly clock: Clock;
  readonly onAppended: (appended: readonly Appended[]) => void;
}

export class PostgresPublisher implements Publisher {
  readonly #given: PublisherGiven;
  readonly #queue: PublishQueue;

  constructor(given: PublisherGiven) {
    this.#given = given;
    this.#queue = new PublishQueue({
      partitions: given.partitions,
      send: (parcel) => this.#send(parcel),
      sendsMax: PUBLISHER_CLIENTS_MAX,
      limits: PARCEL_LIMITS,
      clock: given.clock,
    });
  }

  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    return this.#queue.publish(batch);
  }

  /** Waits for what is on its way; what has no answer by then is unknown. */
  close(): Promise<void> {
    return this.#queue.close(() => this.#given.clients.close());
  }

  /** One statement: all partitions share its fate. */
  async #send(parcel: Parcel): Promise<ReadonlyMap<Partition, Fate>> {
    const { clients, statements } = this.#given;
    let client: pg.PoolClient;
    try {
      client = await clients.borrow();
    } catch (cause) {
      return shared(parcel, {
        kind: 'refused',
        reason: `the database is away: ${asError(cause).message}`,
        retry: true,
      });
    }
    try {
      const appended = await append(client, statements, parcel);
      clients.giveBack(client);
      return this.#stored(parcel, appended);
    } catch (thrown) {
      const cause = asError(thrown);
      const fate = await fateOf(client, cause);
      clients.giveBack(client, fate.kind === 'unknown' ? cause : undefined);
      return shared(parcel, fate);
    }
  }

  #stored(parcel: Parcel, appended: readonly Appended[]): ReadonlyMap<Partition, Fate> {
    this.#given.onAppended(appended);
    const fates = new Map<Partition, Fate>();
    for (const { partition, first } of appended) {
      fates.set(partition, { kind: 'stored', positionOf: (index) => position(first + index) });
    }
    for (const partition of parcel.keys()) {
      if (fates.has(partition)) continue;
      fates.set(partition, { kind: 'refused', reason: `partition ${partition} has no log`, retry: true });
    }
    return fates;
  }
}

/**
 * An error of the statement alone rolled it back; that the session lives on proves that it was no more. Whatever ended the
 * connection may have come after the commit.
 */
async function fateOf(client: pg.PoolClient, cause: Error): Promise<Exclude<Fate, { kind: 'stored' }>> {
  if (!(cause instanceof pg.DatabaseError)) return { kind: 'unknown', cause };
  try {
    await client.query('select 1');
    return { kind: 'refused', reason: `the database refused to store it: ${cause.message}`, retry: true };
  } catch {
    return { kind: 'unknown', cause };
  }
}

function shared(parcel: ReadonlyMap<Partition, readonly Routed[]>, fate: Fate): ReadonlyMap<Partition, Fate> {
  return new Map([...parcel.keys()].map((partition) => [partition, fate]));
}

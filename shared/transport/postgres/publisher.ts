// Owns publishing: calls that wait together go in one statement, and every doubt is told as it is.
import pg from 'pg';
import { position, type Partition, type Position } from '../../command/identity.ts';
import { asError } from '../../process/errors.ts';
import type { Clock } from '../../process/time.ts';
import { BEHIND_REFUSED, admit, entryBytes } from '../admission.ts';
import type { Publisher, PublishResult, Routed } from '../transport.ts';
import { append, type FirstPositions } from './append.ts';
import type { LogClients } from './clients.ts';

/** Each flushes to disk on its own; with more of them fewer calls share a flush. */
export const PUBLISHER_CLIENTS_MAX = 2;
/** What one statement carries at most, unless one entry alone is larger. */
const PARCEL_ENTRIES_MAX = 5_000;
const PARCEL_BYTES_MAX = 4 * 1024 * 1024;
const CLOSE_GRACE_MS = 2_000;

export interface PublisherGiven {
  readonly clients: LogClients;
  readonly statement: string;
  readonly partitions: number;
  readonly clock: Clock;
  /** What was stored: the position after it, by partition. */
  readonly onAppended: (ends: ReadonlyMap<Partition, Position>) => void;
}

/** One publish() call on its way. Its entries go in parcels, one after the other. */
interface Call {
  readonly batch: readonly Routed[];
  readonly results: (PublishResult | null)[];
  readonly resolve: (results: readonly PublishResult[]) => void;
  /** Index of the first entry that was not sent yet. */
  next: number;
}

interface Parcel {
  readonly calls: readonly { readonly call: Call; readonly from: number; readonly to: number }[];
  readonly entries: ReadonlyMap<Partition, readonly Routed[]>;
}

export class PostgresPublisher implements Publisher {
  readonly #given: PublisherGiven;
  readonly #waiting: Call[] = [];
  readonly #sending = new Set<Promise<void>>();
  #isClosed = false;

  constructor(given: PublisherGiven) {
    this.#given = given;
  }

  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    const results: (PublishResult | null)[] = [...admit(batch, this.#given.partitions)];
    if (this.#isClosed) return Promise.resolve(results.map((known) => known ?? CLOSED));
    return new Promise((resolve) => {
      this.#waiting.push({ batch, results, resolve, next: 0 });
      if (this.#sending.size < PUBLISHER_CLIENTS_MAX) this.#startSending();
    });
  }

  /** Waits for what is on its way; what has no answer by then is unknown. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const sent = new AbortController();
    const sending = Promise.all(this.#sending).finally(() => {
      sent.abort();
    });
    await this.#given.clock.sleep(CLOSE_GRACE_MS, sent.signal);
    await this.#given.clients.close();
    await sending;
  }

  #startSending(): void {
    const sending = this.#sendAll().finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  /** Never rejects. Ends when nothing waits. */
  async #sendAll(): Promise<void> {
    // Calls made in the same turn share the first statement.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const parcel = this.#takeParcel();
      if (parcel.entries.size > 0) await this.#send(parcel);
      for (const { call } of parcel.calls) this.#goOn(call);
    }
  }

  #goOn(call: Call): void {
    if (call.next < call.batch.length) this.#waiting.unshift(call);
    else call.resolve(call.results.map((known) => known ?? CLOSED));
  }

  #takeParcel(): Parcel {
    const calls: { call: Call; from: number; to: number }[] = [];
    const entries = new Map<Partition, Routed[]>();
    const room = { entries: PARCEL_ENTRIES_MAX, bytes: PARCEL_BYTES_MAX };
    for (let call = this.#waiting[0]; call !== undefined && room.entries > 0; call = this.#waiting[0]) {
      const from = call.next;
      const fits = fill(call, entries, room);
      if (call.next > from || call.batch.length === 0) calls.push({ call, from, to: call.next });
      this.#waiting.shift();
      if (!fits) {
        // The rest of a call waits until its beginning has been answered.
        if (call.next === from) this.#waiting.unshift(call);
        break;
      }
    }
    return { calls, entries };
  }

  async #send(parcel: Parcel): Promise<void> {
    const { clients } = this.#given;
    let client: pg.PoolClient;
    try {
      client = await clients.borrow();
    } catch (cause) {
      failParcel(parcel, { kind: 'refused', reason: `the database is away: ${asError(cause).message}`, retry: true });
      return;
    }
    try {
      const first = await append(client, this.#given.statement, parcel.entries);
      clients.giveBack(client);
      this.#stored(parcel, first);
    } catch (thrown) {
      const cause = asError(thrown);
      const fate = await fateOf(client, cause);
      clients.giveBack(client, fate.kind === 'unknown' ? cause : undefined);
      failParcel(parcel, fate);
    }
  }

  #stored(parcel: Parcel, first: FirstPositions): void {
    const next = new Map(first);
    for (const { call, from, to } of parcel.calls) {
      for (let index = from; index < to; index++) {
        const routed = call.batch[index];
        if (routed === undefined || call.results[index] !== null) continue;
        const at = next.get(routed.partition);
        if (at === undefined) {
          call.results[index] = { kind: 'refused', reason: `partition ${routed.partition} has no log`, retry: true };
          continue;
        }
        call.results[index] = { kind: 'stored', position: position(at) };
        next.set(routed.partition, at + 1);
      }
    }
    this.#given.onAppended(new Map([...next].map(([partition, at]) => [partition, position(at)])));
  }
}

const CLOSED: PublishResult = { kind: 'refused', reason: 'the publisher is closed', retry: false };

/** Moves the call's next entries into the parcel; false when not all of them fit. */
function fill(call: Call, entries: Map<Partition, Routed[]>, room: { entries: number; bytes: number }): boolean {
  for (; call.next < call.batch.length; call.next++) {
    const routed = call.batch[call.next];
    if (routed === undefined || call.results[call.next] !== null) continue;
    const size = entryBytes(routed);
    const isFirst = entries.size === 0;
    if (!isFirst && (room.entries <= 0 || room.bytes < size)) return false;
    const list = entries.get(routed.partition);
    if (list === undefined) entries.set(routed.partition, [routed]);
    else list.push(routed);
    room.entries--;
    room.bytes -= size;
  }
  return true;
}

/**
 * An error of the statement alone rolled it back; that the session lives on proves that it was no more. Whatever ended the
 * connection may have come after the commit.
 */
async function fateOf(client: pg.PoolClient, cause: Error): Promise<Exclude<PublishResult, { kind: 'stored' }>> {
  if (!(cause instanceof pg.DatabaseError)) return { kind: 'unknown', cause };
  try {
    await client.query('select 1');
    return { kind: 'refused', reason: `the database refused to store it: ${cause.message}`, retry: true };
  } catch {
    return { kind: 'unknown', cause };
  }
}

/** What was sent shares the fate; of the same calls, nothing later is sent: it could overtake. */
function failParcel(parcel: Parcel, fate: Exclude<PublishResult, { kind: 'stored' }>): void {
  for (const { call, from, to } of parcel.calls) {
    for (let index = from; index < call.batch.length; index++) {
      call.results[index] ??= index < to ? fate : BEHIND_REFUSED;
    }
    call.next = call.batch.length;
  }
}

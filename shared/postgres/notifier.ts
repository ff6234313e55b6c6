// Owns hinting: one connection that sends notifications, many at a time, outside of everybody's transactions.
import pg from 'pg';
import { asError } from '../process/errors.ts';
import type { Observe } from '../process/events.ts';
import { backoffMs, systemClock, type Clock, type Random } from '../process/time.ts';
import { connectionOptions } from './database.ts';
import { breakOff, endClient } from './end-client.ts';

export interface NotifierWanted {
  readonly url: string;
  readonly channel: string;
  /** At least this long between two statements; what is hinted meanwhile goes with the next. */
  readonly intervalMs: number;
  readonly observe: Observe;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface Notifier {
  /** Never waits, never fails. Equal payloads that wait together are sent once; beyond a bound they are dropped. */
  hint(payload: string): void;
  /** Sends what waits, if the connection stands. Idempotent. */
  close(): Promise<void>;
}

const WAITING_MAX = 10_000;
/** PostgreSQL takes less than 8,000. */
const PAYLOAD_BYTES_MAX = 7_900;
const ANSWER_MS = 5_000;
const CLOSE_GRACE_MS = 1_000;

export function openNotifier(wanted: NotifierWanted): Notifier {
  return new CoalescingNotifier(wanted);
}

/**
 * idle      nothing waits, nothing runs; a hint starts sending
 * sending   one statement at a time, then a pause, as long as hints wait
 * closed    hints are dropped
 */
class CoalescingNotifier implements Notifier {
  readonly #wanted: NotifierWanted;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #waiting = new Set<string>();
  #sending: Promise<void> | null = null;
  #client: pg.Client | null = null;
  /** The one that is being connected: a server that never answers must not hold up closing. */
  #opening: pg.Client | null = null;
  #failures = 0;

  constructor(wanted: NotifierWanted) {
    this.#wanted = wanted;
    this.#clock = wanted.clock ?? systemClock;
  }

  hint(payload: string): void {
    if (this.#closing.signal.aborted || this.#waiting.size >= WAITING_MAX) return;
    if (Buffer.byteLength(payload) > PAYLOAD_BYTES_MAX) return;
    this.#waiting.add(payload);
    this.#sending ??= this.#sendAll();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const sent = new AbortController();
    const sending = (this.#sending ?? Promise.resolve()).finally(() => {
      sent.abort();
    });
    await this.#clock.sleep(CLOSE_GRACE_MS, sent.signal);
    const client = this.#client ?? this.#opening;
    if (!sent.signal.aborted && client !== null) breakOff(client);
    await sending;
    await this.#drop();
  }

  /** Never rejects. */
  async #sendAll(): Promise<void> {
    const { intervalMs, random = Math.random } = this.#wanted;
    // What is hinted in the same turn goes with the first statement.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const payloads = [...this.#waiting];
      this.#waiting = new Set();
      const isSent = await this.#send(payloads);
      if (this.#closing.signal.aborted && !isSent) break;
      const pauseMs = isSent ? intervalMs : Math.max(intervalMs, backoffMs(this.#failures, random));
      await this.#clock.sleep(pauseMs, this.#closing.signal);
    }
    this.#sending = null;
  }

  async #send(payloads: readonly string[]): Promise<boolean> {
    try {
      const client = (this.#client ??= await this.#connect());
      await client.query({
        name: 'notify',
        // With the channel in its text, so that an operator who looks at sessions sees whose it is.
        text: `select pg_notify(${client.escapeLiteral(this.#wanted.channel)}, payload) from unnest($1::text[]) as hints (payload)`,
        values: [payloads],
      });
      if (this.#failures > 0)
        this.#wanted.observe({ kind: 'connection-restored', what: `notifier ${this.#wanted.channel}` });
      this.#failures = 0;
      return true;
    } catch (thrown) {
      this.#failures++;
      if (this.#failures === 1) {
        this.#wanted.observe({
          kind: 'connection-lost',
          what: `notifier ${this.#wanted.channel}`,
          cause: asError(thrown),
        });
      }
      await this.#drop();
      return false;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      ...connectionOptions(this.#wanted.url, 'onelane-notifier'),
      query_timeout: ANSWER_MS,
    });
    client.on('error', () => undefined);
    this.#opening = client;
    try {
      await client.connect();
      // Committing a NOTIFY takes a lock that the whole database shares: it must not be held for a flush to disk.
      await client.query('set synchronous_commit = off');
      return client;
    } catch (cause) {
      await endClient(client, this.#clock);
      throw cause;
    } finally {
      this.#opening = null;
    }
  }

  async #drop(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client !== null) await endClient(client, this.#clock);
  }
}

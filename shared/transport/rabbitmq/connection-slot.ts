// Owns a connection that is there when it is needed: opened on demand, and anew after it was lost.
import type { OnelaneError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import type { BrokerConnection } from './client.ts';
import { BrokerAway } from '../broker-away.ts';

export interface SlotGiven {
  /** As it is called in events. */
  readonly what: string;
  readonly open: () => Promise<BrokerConnection>;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly observe: Observe;
}

export class ConnectionSlot {
  readonly #given: SlotGiven;
  #opening: Promise<BrokerConnection> | null = null;
  #current: BrokerConnection | null = null;
  #isClosed = false;
  #isAway = false;

  constructor(given: SlotGiven) {
    this.#given = given;
  }

  /** The one that stands, if one does. */
  get current(): BrokerConnection | null {
    return this.#current === null || this.#current.gone.aborted ? null : this.#current;
  }

  /** Rejects with a sentence when none can be opened; who asks meanwhile shares the attempt. */
  async get(): Promise<BrokerConnection> {
    if (this.#isClosed) throw new BrokerAway(`the ${this.#given.what} is closed`);
    return this.current ?? (await (this.#opening ??= this.#open()));
  }

  /** Idempotent. What is under way gets an error. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    await this.#current?.close();
  }

  async #open(): Promise<BrokerConnection> {
    const { what, open, explain, observe } = this.#given;
    try {
      const connection = await open();
      this.#current = connection;
      if (this.#isAway) observe({ kind: 'connection-restored', what });
      this.#isAway = false;
      connection.gone.addEventListener('abort', () => this.#lost(connection.gone.reason), { once: true });
      return connection;
    } catch (thrown) {
      throw explain(thrown);
    } finally {
      this.#opening = null;
    }
  }

  #lost(reason: unknown): void {
    if (this.#isClosed) return;
    this.#isAway = true;
    this.#given.observe({ kind: 'connection-lost', what: this.#given.what, cause: this.#given.explain(reason) });
  }
}

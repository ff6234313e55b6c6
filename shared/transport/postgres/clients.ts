// Owns the adapter's connections: few, kept open, durable by setting, and given up when no answer comes.
import pg from 'pg';
import { connectionOptions, KEYED_PLANNING, LANE_TIMEOUTS, sessionSettings } from '../../postgres/database.ts';
import { breakOff } from '../../postgres/end-client.ts';
import { asError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock } from '../../process/time.ts';

/** Longer than any timeout of the server: an answer that is later than this is not coming. */
const ANSWER_MS = 15_000;
/** How long closing waits for what is under way; then it is broken off, and whoever waits for it gets the error. */
const CLOSE_GRACE_MS = 1_000;

export interface LogClients {
  /** Borrows a client for `work`; when that fails, whatever it was, the client is closed. */
  use<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  /** Rejects when no connection can be made; then nothing was sent. */
  borrow(): Promise<pg.PoolClient>;
  /** A client with a cause is closed; its next borrower gets a new one. */
  giveBack(client: pg.PoolClient, cause?: Error): void;
  /** Idempotent; waits for clients that are borrowed, but not for ever. */
  close(): Promise<void>;
}

/**
 * `onLost`: called for every connection that broke, idle or not, as the server may have come back as another one. Losing is told
 * once, until a connection works again.
 */
export function openLogClients(given: {
  readonly url: string;
  readonly what: string;
  readonly max: number;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly onLost?: () => void;
}): LogClients {
  let isLost = false;
  const lost = (cause: Error) => {
    if (!isLost) given.observe({ kind: 'connection-lost', what: given.what, cause });
    isLost = true;
    given.onLost?.();
  };
  const restored = () => {
    if (isLost) given.observe({ kind: 'connection-restored', what: given.what });
    isLost = false;
  };
  const settings = sessionSettings(LANE_TIMEOUTS) + KEYED_PLANNING;
  const pool = new pg.Pool({
    ...connectionOptions(given.url, 'onelane-log'),
    query_timeout: ANSWER_MS,
    idleTimeoutMillis: 0,
    max: given.max,
    verify: (client, done) => {
      client.query(settings).then(() => {
        restored();
        done();
      }, done);
    },
  });
  // A client that breaks while it is borrowed: the borrower's query rejects, and an unheard 'error' would end the process.
  const open = new Set<pg.PoolClient>();
  pool.on('connect', (client) => {
    client.on('error', () => undefined);
    open.add(client);
  });
  pool.on('remove', (client) => open.delete(client));
  pool.on('error', lost);
  return new PooledClients({ pool, open, lost, clock: given.clock });
}

interface Pooled {
  readonly pool: pg.Pool;
  /** Borrowed or not. */
  readonly open: ReadonlySet<pg.PoolClient>;
  readonly lost: (cause: Error) => void;
  readonly clock: Clock;
}

class PooledClients implements LogClients {
  readonly #given: Pooled;
  #closed: Promise<void> | null = null;

  constructor(given: Pooled) {
    this.#given = given;
  }

  async use<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.borrow();
    let broken: Error | undefined;
    try {
      return await work(client);
    } catch (cause) {
      broken = asError(cause);
      throw cause;
    } finally {
      this.giveBack(client, broken);
    }
  }

  async borrow(): Promise<pg.PoolClient> {
    try {
      return await this.#given.pool.connect();
    } catch (cause) {
      if (this.#closed === null) this.#given.lost(asError(cause));
      throw cause;
    }
  }

  giveBack(client: pg.PoolClient, cause?: Error): void {
    if (cause !== undefined && this.#closed === null) this.#given.lost(cause);
    client.release(cause);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#end());
  }

  async #end(): Promise<void> {
    const { pool, open, clock } = this.#given;
    const ended = new AbortController();
    const ending = pool.end().finally(() => {
      ended.abort();
    });
    await clock.sleep(CLOSE_GRACE_MS, ended.signal);
    for (const client of open) breakOff(client);
    // A connection that is still being made gives up by itself.
    await Promise.race([ending, clock.sleep(CLOSE_GRACE_MS, ended.signal)]);
  }
}

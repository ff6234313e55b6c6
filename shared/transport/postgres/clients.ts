// Owns the adapter's connections: few, kept open, durable by setting, and given up when no answer comes.
import pg from 'pg';
import { connectionOptions, LANE_TIMEOUTS, sessionSettings } from '../../postgres/database.ts';
import { asError } from '../../process/errors.ts';
import type { Observe } from '../../process/events.ts';

/** Longer than any timeout of the server: an answer that is later than this is not coming. */
const ANSWER_MS = 15_000;

export interface LogClients {
  /** Null: no connection could be made, so nothing was sent. */
  borrow(): Promise<pg.PoolClient>;
  /** A client with a cause is closed; its next borrower gets a new one. */
  giveBack(client: pg.PoolClient, cause?: Error): void;
  /** Idempotent; waits for clients that are borrowed. */
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
  const settings = sessionSettings(LANE_TIMEOUTS);
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
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', lost);
  return {
    borrow: () =>
      pool.connect().catch((cause: unknown) => {
        lost(asError(cause));
        throw cause;
      }),
    giveBack: (client, cause) => {
      if (cause !== undefined) lost(cause);
      client.release(cause);
    },
    close: async () => {
      if (!pool.ending) await pool.end();
    },
  };
}

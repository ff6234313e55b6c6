// Owns one connection for leases, outside every pool: a pool that is busy, or a lane that floods it, must not cost a lease.
import { Socket } from 'node:net';
import pg from 'pg';
import { connectionOptions } from '../../shared/postgres/database.ts';
import { LEASES_CHANNEL } from './lease-table.ts';

export interface LeaseSession {
  readonly client: pg.Client;
  /** Does not wait for the other side. Idempotent. */
  close(): void;
}

export interface LeaseSessionGiven {
  readonly url: string;
  /** Of whatever is asked: to connect, or a statement. */
  readonly answerMs: number;
  readonly onNotification: (payload: string) => void;
  /** The connection broke while nothing was asked of it; the next statement will fail. */
  readonly onBroken: () => void;
}

/** Connects and listens; rejects within about `answerMs` when that cannot be done, and has then left nothing open. */
export async function openLeaseSession(given: LeaseSessionGiven): Promise<LeaseSession> {
  const socket = new Socket();
  const client = new pg.Client({
    ...connectionOptions(given.url, 'onelane-leases'),
    connectionTimeoutMillis: given.answerMs,
    query_timeout: given.answerMs,
    stream: () => socket,
  });
  const close = () => {
    client.end().catch(() => undefined);
    // A goodbye that nobody hears would keep the socket for minutes.
    setTimeout(() => socket.destroy(), GOODBYE_MS).unref();
  };
  // A broken connection fails the statement in flight or the next one; that is where the error is met.
  client.on('error', given.onBroken);
  client.on('notification', (message) => {
    given.onNotification(message.payload ?? '');
  });
  try {
    await client.connect();
    const statementMs = Math.max(1, Math.floor(given.answerMs));
    await client.query(`set statement_timeout = ${statementMs}; set synchronous_commit = on; listen ${LEASES_CHANNEL}`);
    return { client, close };
  } catch (cause) {
    close();
    throw cause;
  }
}

const GOODBYE_MS = 250;

// Owns borrowing: a client of the lanes' pool for one transaction, never given back with one open, nor with a stale plan.
import pg from 'pg';
import { asError } from '../../../shared/process/errors.ts';
import { Flush, FlushFailed, ROLLBACK } from './flush.ts';

/** "cached plan must not change result type" and "prepared statement does not exist" repeat on their connection. */
const STALE = new Set(['0A000', '26000']);

/** Runs `work` on one client. When it throws, what it began is rolled back before the error, unwrapped, comes out. */
export async function withLaneClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let done: T;
  try {
    done = await work(client);
  } catch (thrown) {
    const cause = thrown instanceof FlushFailed ? thrown.reason : asError(thrown);
    client.release(await leaveTransaction(client, cause));
    throw cause;
  }
  // The last answer told that the transaction is over; if the driver knows otherwise, nobody else shall meet it.
  client.release(client.getTransactionStatus() !== 'I');
  return done;
}

/** The error with which the client must be destroyed, or undefined when it is clean. */
async function leaveTransaction(client: pg.PoolClient, cause: Error): Promise<Error | undefined> {
  const stale = cause instanceof pg.DatabaseError && STALE.has(cause.code ?? '');
  if (stale || (!(cause instanceof pg.DatabaseError) && isBroken(client))) return cause;
  try {
    await rollBack(client);
    return undefined;
  } catch (lost) {
    return asError(lost);
  }
}

export async function rollBack(client: pg.PoolClient): Promise<void> {
  const flush = new Flush(client);
  flush.send(ROLLBACK);
  await flush.answers();
}

/** A client whose socket broke answers nothing any more; asking it would only wait. */
function isBroken(client: pg.PoolClient): boolean {
  return client.connection.stream.destroyed;
}

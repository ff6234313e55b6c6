// Owns the one way to run a short transaction on the pool, and a long one beside it.
import type pg from 'pg';
import { openPatientPool, type Database } from './database.ts';

/** Commits what `work` did, or nothing; a client whose connection broke does not go back to the pool. */
export async function inTransaction<T>(pool: pg.Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  let broken: Error | undefined;
  try {
    await tx.query('begin isolation level read committed read write');
    const done = await work(tx);
    await tx.query('commit');
    return done;
  } catch (cause) {
    await tx.query('rollback').catch((lost: Error) => (broken = lost));
    throw cause;
  } finally {
    tx.release(broken);
  }
}

/**
 * The same on a session of its own, which nobody sees afterwards: for changes of tables, whose statements may take minutes and set what
 * they like.
 */
export async function inLongTransaction<T>(
  db: Pick<Database, 'url' | 'schema'>,
  work: (tx: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const pool = openPatientPool(db);
  try {
    return await inTransaction(pool, work);
  } finally {
    await pool.end();
  }
}

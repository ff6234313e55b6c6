// Owns the one way to run a short transaction on the pool.
import type pg from 'pg';

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

// Owns what is known of the ledger's partitions, so that only a batch that goes beyond them pays for a look.
import pg from 'pg';
import type { Database } from '../../../shared/postgres/database.ts';
import { ensureLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import { isOwnTable } from '../../../shared/postgres/own-tables.ts';
import type { LedgerRow } from '../batch-store.ts';

export class LedgerCoverage {
  readonly #database: Database;
  readonly #retentionMs: number;
  #fromMs = Infinity;
  #toMs = -Infinity;

  constructor(database: Database, retentionMs: number) {
    this.#database = database;
    this.#retentionMs = retentionMs;
  }

  /** A promise only when partitions must be looked up or made; that happens outside the lane's transaction. */
  cover(ledger: readonly LedgerRow[]): Promise<void> | undefined {
    let fromMs = Infinity;
    let toMs = -Infinity;
    for (const { at } of ledger) {
      const ms = at.getTime();
      if (ms < fromMs) fromMs = ms;
      if (ms > toMs) toMs = ms;
    }
    if (ledger.length === 0 || (this.#fromMs <= fromMs && toMs <= this.#toMs)) return undefined;
    return this.#ensure(new Date(fromMs), new Date(toMs));
  }

  /** After 23514 in a table of our own: somebody dropped a partition that we thought was there. */
  noteFailure(cause: unknown): void {
    if (!(cause instanceof pg.DatabaseError) || cause.code !== '23514') return;
    if (cause.schema !== this.#database.schema || !isOwnTable(cause.table ?? '')) return;
    this.#fromMs = Infinity;
    this.#toMs = -Infinity;
  }

  async #ensure(from: Date, to: Date): Promise<void> {
    const covered = await ensureLedgerPartitions(this.#database, from, to, this.#retentionMs);
    this.#fromMs = covered.from.getTime();
    // The range ends before its last instant.
    this.#toMs = covered.to.getTime() - 1;
  }
}

// Owns the batch store on PostgreSQL: puts claim, transactions, marks and release together.
import type pg from 'pg';
import type { Uuid } from '../../../shared/command/identity.ts';
import type { Database } from '../../../shared/postgres/database.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import type { Observe } from '../../../shared/process/events.ts';
import type { Clock } from '../../../shared/process/time.ts';
import type { ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { BatchStore } from '../batch-store.ts';
import { bookStatements, type BookStatements } from './books.ts';
import { claimTenure } from './claim.ts';
import { fenceStatements, type FenceStatements } from './fence.ts';
import { LedgerCoverage } from './ledger-coverage.ts';
import { markEntry, readDeaths, releaseTenure } from './mark-release.ts';
import { RowWrites } from './row-writes.ts';
import { recallStatements, type RecallStatements } from './recall.ts';
import { transact } from './transact.ts';
import { transactEach } from './transact-each.ts';
import { Unconfirmed } from './unconfirmed.ts';

export interface StoreGiven {
  readonly database: Database;
  /** From openLanePool; the caller ends it. */
  readonly lanePool: pg.Pool;
  readonly types: ResourceTypes;
  readonly ledgerRetentionMs: number;
  /** Who claims, as its row among the members says it. */
  readonly consumer: Uuid;
  readonly observe: Observe;
  readonly clock: Clock;
}

/** What the parts of this room share. */
export interface StoreParts extends StoreGiven {
  readonly fence: FenceStatements;
  readonly recall: RecallStatements;
  readonly books: BookStatements;
  readonly writes: RowWrites;
  readonly coverage: LedgerCoverage;
  readonly unconfirmed: Unconfirmed;
}

export function postgresBatchStore(given: StoreGiven): BatchStore {
  const schema = quoted(given.database.schema);
  const parts: StoreParts = {
    ...given,
    fence: fenceStatements(schema),
    recall: recallStatements(schema, given.types),
    books: bookStatements(schema),
    writes: new RowWrites(schema, given.types),
    coverage: new LedgerCoverage(given.database, given.ledgerRetentionMs),
    unconfirmed: new Unconfirmed(),
  };
  return {
    claim: (partition, by) => claimTenure(parts, partition, by),
    transact: (tenure, step, locking) => transact(parts, tenure, step, locking),
    transactEach: (tenure, steps, locking) => transactEach(parts, tenure, steps, locking),
    mark: (tenure, entry) => markEntry(parts, tenure, entry),
    deaths: (tenure) => readDeaths(parts, tenure),
    release: (tenure) => releaseTenure(parts, tenure),
  };
}

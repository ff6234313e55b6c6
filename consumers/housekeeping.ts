// Owns forgetting in good time: ledger partitions and last revisions past their retention go, partitions ahead are made.
import type { Database } from '../shared/postgres/database.ts';
import { ensureLedgerPartitions } from '../shared/postgres/ledger-partitions.ts';
import { pruneLedger } from '../shared/postgres/ledger-prune.ts';
import { asError } from '../shared/process/errors.ts';
import type { Observe } from '../shared/process/events.ts';
import type { Service } from '../shared/process/service.ts';
import type { Clock, Random } from '../shared/process/time.ts';
import type { Transport } from '../shared/transport/transport.ts';
import { readUpTo } from './housekeeping/horizon.ts';
import { databaseTime, deleteLastRevisions, readProgress } from './housekeeping/retention-table.ts';

export interface HousekeepingGiven {
  readonly database: Database;
  readonly transport: Pick<Transport, 'ends'>;
  readonly ledgerRetentionMs: number;
  /** Between two sweeps; default SWEEP_EVERY_MS. */
  readonly everyMs?: number;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export const SWEEP_EVERY_MS = 60_000;
/** Made ahead of time, so that a lane seldom has to. A part of the retention: the width of one ledger partition. */
const AHEAD_OF_RETENTION = 1 / 3;
const ROWS_PER_STATEMENT = 1_000;
const STATEMENTS_PER_SWEEP = 50;

/**
 * Every process may run it: one at a time drops partitions (an advisory lock, not waited for), and the rest does no harm twice.
 * What fails is an event, and is tried again at the next sweep.
 */
export function housekeeping(given: HousekeepingGiven): Service {
  const stop = new AbortController();
  let running: Promise<void> | null = null;
  return {
    name: 'housekeeping',
    start() {
      if (!stop.signal.aborted) running ??= sweepForEver(given, stop.signal);
      return Promise.resolve();
    },
    async stop(deadlineMs) {
      stop.abort();
      const inTime = new AbortController();
      await Promise.race([running, given.clock.sleep(deadlineMs, inTime.signal)]);
      inTime.abort();
    },
  };
}

/** Never rejects. */
async function sweepForEver(given: HousekeepingGiven, stop: AbortSignal): Promise<void> {
  const { clock, random, everyMs = SWEEP_EVERY_MS } = given;
  while (!stop.aborted) {
    try {
      await sweep(given, stop);
    } catch (thrown) {
      given.observe({ kind: 'housekeeping-failed', cause: asError(thrown) });
    }
    // Processes that started together need not go on sweeping together.
    await clock.sleep(everyMs * (0.75 + random() / 2), stop);
  }
}

/** Partitions ahead come first: they are needed even when the broker is away and nobody can say what may be forgotten. */
async function sweep(given: HousekeepingGiven, stop: AbortSignal): Promise<void> {
  const { database, transport, ledgerRetentionMs, observe } = given;
  const askedAt = await databaseTime(database);
  const ahead = new Date(askedAt.getTime() + ledgerRetentionMs * AHEAD_OF_RETENTION);
  await ensureLedgerPartitions(database, askedAt, ahead, ledgerRetentionMs);
  const upTo = readUpTo(askedAt, await transport.ends(), await readProgress(database));
  if (upTo === null || stop.aborted) return;
  const horizon = new Date(upTo.getTime() - ledgerRetentionMs);
  const partitions = await pruneLedger(database, horizon);
  if (partitions.length > 0) observe({ kind: 'ledger-pruned', partitions });
  await forgetRevisions(given, horizon, stop);
}

async function forgetRevisions(given: HousekeepingGiven, horizon: Date, stop: AbortSignal): Promise<void> {
  let rows = 0;
  for (let statement = 0; statement < STATEMENTS_PER_SWEEP && !stop.aborted; statement++) {
    const deleted = await deleteLastRevisions(given.database, horizon, ROWS_PER_STATEMENT);
    rows += deleted;
    if (deleted < ROWS_PER_STATEMENT) break;
  }
  if (rows > 0) given.observe({ kind: 'last-revisions-pruned', rows });
}

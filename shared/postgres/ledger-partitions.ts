// Owns the ledger's partitions in time: few and large ones, made before they are needed.
import type pg from 'pg';
import { invariant } from '../process/errors.ts';
import type { Database } from './database.ts';
import { LOCK_CLASS } from './migrate.ts';
import { quoted } from './schema-name.ts';
import { inTransaction } from './transaction.ts';

/** From the first instant to just before the last. */
export interface TimeRange {
  readonly from: Date;
  readonly to: Date;
}

export interface LedgerPartition extends TimeRange {
  readonly name: string;
  /** It was being detached when its pruner ended; nobody reads it any more. */
  readonly isLeaving: boolean;
}

/** A look-up by id visits every partition, so few; pruning drops whole ones, so not one. */
const PARTITIONS_PER_RETENTION = 3;
const WIDTH_MIN_MS = 1_000;
/** More than this many at once (dates far apart) become one wide partition for the older part. */
const NEW_PARTITIONS_MAX = 8;
const LOCK_WAIT_MS = 10_000;

/**
 * Afterwards rows dated from `from` to `to` can be inserted. Safe while lanes write, and in many processes at once, also when
 * they disagree on the retention. Returns the unbroken range that is covered around the wanted one, for callers to remember.
 */
export async function ensureLedgerPartitions(
  db: Database,
  from: Date,
  to: Date,
  retentionMs: number,
): Promise<TimeRange> {
  const wanted = { from: from.getTime(), to: to.getTime() + 1 };
  invariant(wanted.from < wanted.to, 'a range of the ledger begins before it ends');
  const before = covering(await readLedgerPartitions(db), wanted);
  if (before !== null) return before;
  const widthMs = Math.max(WIDTH_MIN_MS, Math.ceil(retentionMs / PARTITIONS_PER_RETENTION));
  const after = await inTransaction(db.pool, async (tx) => {
    await tx.query(`set local lock_timeout = ${LOCK_WAIT_MS}`);
    await tx.query('select pg_advisory_xact_lock($1, hashtext($2))', [LOCK_CLASS, `${db.schema}/ledger`]);
    await dropLeaving(tx, db, wanted);
    for (const gap of missing(await readLedgerPartitions(db, tx), wanted, widthMs)) await addPartition(tx, db, gap);
    return readLedgerPartitions(db, tx);
  });
  const covered = covering(after, wanted);
  invariant(covered !== null, 'the ledger has the partitions that were just made');
  return covered;
}

/** In the order of time. */
export async function readLedgerPartitions(
  db: Pick<Database, 'schema' | 'pool'>,
  from: Pick<pg.ClientBase, 'query'> | Pick<pg.Pool, 'query'> = db.pool,
): Promise<readonly LedgerPartition[]> {
  const { rows } = await from.query<{ name: string; leaving: boolean }>(
    `select c.relname as name, i.inhdetachpending as leaving
     from pg_inherits i
     join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass($1)`,
    [`${quoted(db.schema)}.ledger`],
  );
  return rows
    .flatMap(({ name, leaving }) => {
      const range = rangeOfName(name);
      return range === null ? [] : [{ ...range, name, isLeaving: leaving }];
    })
    .sort((one, other) => one.from.getTime() - other.from.getTime());
}

/** The name says the bounds, in milliseconds since 1970. Null: no partition of ours. */
export function rangeOfName(name: string): TimeRange | null {
  const [, from, to] = /^ledger_(-?\d+)_(-?\d+)$/.exec(name) ?? [];
  return from === undefined || to === undefined ? null : { from: new Date(Number(from)), to: new Date(Number(to)) };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** The unbroken run of partitions around the wanted span; null when it is not covered whole. */
function covering(partitions: readonly LedgerPartition[], wanted: Span): TimeRange | null {
  const spans = partitions
    .filter((each) => !each.isLeaving)
    .map(({ from, to }) => ({ from: from.getTime(), to: to.getTime() }));
  let runFrom = NaN;
  let runTo = NaN;
  for (const { from, to } of spans) {
    if (from !== runTo) runFrom = from;
    runTo = to;
    const goesOn = spans.some((each) => each.from === to);
    if (!goesOn && runFrom <= wanted.from && wanted.to <= runTo)
      return { from: new Date(runFrom), to: new Date(runTo) };
  }
  return null;
}

/** Cuts what is not covered at multiples of the width, which are the same for every process. */
function missing(partitions: readonly LedgerPartition[], wanted: Span, widthMs: number): readonly Span[] {
  const until = (Math.floor((wanted.to - 1) / widthMs) + 1) * widthMs;
  let at = Math.floor(wanted.from / widthMs) * widthMs;
  const coarseUntil = until - NEW_PARTITIONS_MAX * widthMs;
  const gaps: Span[] = [];
  while (at < until) {
    const here = at;
    const inside = partitions.find((each) => each.from.getTime() <= here && here < each.to.getTime());
    if (inside !== undefined) {
      at = inside.to.getTime();
      continue;
    }
    const next = partitions.find((each) => each.from.getTime() > here)?.from.getTime() ?? Infinity;
    const cut = here < coarseUntil ? coarseUntil : (Math.floor(here / widthMs) + 1) * widthMs;
    at = Math.min(next, cut);
    gaps.push({ from: here, to: at });
  }
  return gaps;
}

/** Past the horizon once, and wanted again now: a pruner left it half detached, and no other could have its place. */
async function dropLeaving(tx: pg.PoolClient, db: Database, wanted: Span): Promise<void> {
  const schema = quoted(db.schema);
  for (const { name, isLeaving, from, to } of await readLedgerPartitions(db, tx)) {
    if (!isLeaving || to.getTime() <= wanted.from || wanted.to <= from.getTime()) continue;
    await tx.query(`alter table ${schema}.ledger detach partition ${schema}."${name}" finalize`);
    await tx.query(`drop table ${schema}."${name}"`);
  }
}

/** Attaching takes a lock on the ledger that readers and writers do not wait for. */
async function addPartition(tx: pg.PoolClient, db: Database, gap: Span): Promise<void> {
  const ledger = `${quoted(db.schema)}.ledger`;
  const partition = `${quoted(db.schema)}."ledger_${gap.from}_${gap.to}"`;
  // A detached partition that its pruner did not come to drop may still have the name.
  await tx.query(`drop table if exists ${partition}`);
  await tx.query(`create table ${partition} (like ${ledger} including all)`);
  await tx.query(
    `alter table ${ledger} attach partition ${partition}
     for values from (to_timestamp(${gap.from} / 1000.0)) to (to_timestamp(${gap.to} / 1000.0))`,
  );
}

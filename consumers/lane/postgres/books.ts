// Owns the writes beside the rows: ledger, parked commands and holds, strays, last revisions. Set-based; nothing is sent for an empty list.
import type { CommandId, ContentHash, Partition, ResourceKey } from '../../../shared/command/identity.ts';
import { storableText } from '../../../shared/command/failure.ts';
import type { Headers } from '../../../shared/command/entry.ts';
import { hexArray, plainArray, quotedArray } from '../../../shared/resources/array-text.ts';
import type { LedgerRow, ParkedRow, Plan, RowChange, StrayRow } from '../batch-store.ts';
import { hashArray } from './binary-array.ts';
import { statement, type Flush, type Statement } from './flush.ts';

export interface BookStatements {
  readonly ledger: Statement;
  readonly parked: Statement;
  readonly holds: Statement;
  readonly strays: Statement;
  readonly lastRevisions: Statement;
}

export function bookStatements(schema: string): BookStatements {
  return {
    // An outcome that is not named is the common one; instants are milliseconds after the first.
    ledger: statement(`
insert into ${schema}.ledger (id, resource, content, partition, at, outcome, revision, code, detail, reply)
select v.id, v.resource, v.content, $1, $2::timestamptz + v.later * interval '1 millisecond', coalesce(v.outcome, 'applied'),
  v.revision, v.code, v.detail, v.reply
from unnest($3::uuid[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[])
  as v (id, resource, content, later, outcome, revision, code, detail, reply)`),
    parked: statement(`
insert into ${schema}.parked
  (resource, number, id, content, partition, position, bytes, headers, appended_at, code, detail, sqlstate)
select v.resource, v.number, v.id, v.content, $1, v.position, v.bytes, v.headers, v.appended_at, v.code, v.detail, v.sqlstate
from unnest($2::text[], $3::bigint[], $4::uuid[], $5::bytea[], $6::bigint[], $7::bytea[], $8::bytea[], $9::timestamptz[],
    $10::text[], $11::text[], $12::text[])
  as v (resource, number, id, content, position, bytes, headers, appended_at, code, detail, sqlstate)`),
    holds: statement(`
insert into ${schema}.hold (resource, partition, next_number)
select v.resource, $1, v.next_number
from unnest($2::text[], $3::bigint[]) as v (resource, next_number)
on conflict (resource) do update set next_number = excluded.next_number`),
    strays: statement(`
insert into ${schema}.stray (partition, number, position, hash, reason, detail, id, resource, bytes, headers, appended_at)
select $1, $2::bigint + v.place, v.position, v.hash, v.reason, v.detail, v.id, v.resource, v.bytes, v.headers, v.appended_at
from unnest($3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::bytea[], $10::bytea[], $11::timestamptz[])
  with ordinality as v (position, hash, reason, detail, id, resource, bytes, headers, appended_at, place)`),
    lastRevisions: statement(`
insert into ${schema}.last_revision (resource, revision, at)
select v.resource, v.revision, v.at
from unnest($1::text[], $2::bigint[], $3::timestamptz[]) as v (resource, revision, at)
on conflict (resource) do update set
  revision = greatest(last_revision.revision, excluded.revision),
  at = greatest(last_revision.at, excluded.at)`),
  };
}

/** `strays`: how many the partition had before this plan. */
export function sendBooks(
  flush: Flush,
  statements: BookStatements,
  plan: Plan,
  about: { readonly partition: Partition; readonly strays: bigint },
): void {
  const { partition } = about;
  if (plan.ledger.length > 0) sendLedger(flush, statements.ledger, plan.ledger, partition);
  if (plan.parked.length > 0) {
    sendParked(flush, statements.parked, plan.parked, partition);
    sendHolds(flush, statements.holds, plan.parked, partition);
  }
  if (plan.strays.length > 0) sendStrays(flush, statements.strays, plan.strays, about);
  sendLastRevisions(flush, statements.lastRevisions, plan);
}

function sendLedger(flush: Flush, ledger: Statement, rows: readonly LedgerRow[], partition: Partition): void {
  const first = rows[0]?.at ?? new Date(0);
  const firstMs = first.getTime();
  const ids: CommandId[] = [];
  const keys: ResourceKey[] = [];
  const contents: ContentHash[] = [];
  const later: number[] = [];
  const revisions: number[] = [];
  for (const row of rows) {
    ids.push(row.id);
    keys.push(row.key);
    contents.push(row.content);
    later.push(row.at.getTime() - firstMs);
    revisions.push(row.revision);
  }
  flush.send(ledger, [
    partition,
    first.toISOString(),
    plainArray(ids),
    quotedArray(keys),
    hashArray(contents),
    plainArray(later),
    sparseArray(rows, (row) => (row.outcome === 'applied' ? null : row.outcome)),
    plainArray(revisions),
    sparseArray(rows, (row) => row.code),
    sparseArray(rows, (row) => row.detail),
    sparseArray(rows, (row) => row.reply),
  ]);
}

function sendParked(flush: Flush, parked: Statement, rows: readonly ParkedRow[], partition: Partition): void {
  flush.send(parked, [
    partition,
    quotedArray(rows.map((row) => row.key)),
    plainArray(rows.map((row) => row.number)),
    plainArray(rows.map((row) => row.id)),
    hexArray(rows.map((row) => row.content)),
    plainArray(rows.map((row) => row.position)),
    hexArray(rows.map((row) => hexOf(row.bytes))),
    hexArray(rows.map((row) => hexOfHeaders(row.headers))),
    plainArray(rows.map((row) => row.appendedAt.toISOString())),
    quotedArray(rows.map((row) => row.failure.code)),
    quotedArray(rows.map((row) => storableText(row.failure.detail))),
    quotedArray(rows.map((row) => row.failure.sqlstate ?? null)),
  ]);
}

function sendHolds(flush: Flush, holds: Statement, rows: readonly ParkedRow[], partition: Partition): void {
  const next = new Map<ResourceKey, number>();
  for (const { key, number } of rows) next.set(key, Math.max(next.get(key) ?? 0, number + 1));
  flush.send(holds, [partition, quotedArray([...next.keys()]), plainArray([...next.values()])]);
}

function sendStrays(
  flush: Flush,
  strays: Statement,
  rows: readonly StrayRow[],
  about: { readonly partition: Partition; readonly strays: bigint },
): void {
  flush.send(strays, [
    about.partition,
    String(about.strays),
    plainArray(rows.map((row) => row.position)),
    hexArray(rows.map((row) => row.hash)),
    quotedArray(rows.map((row) => row.reason)),
    quotedArray(rows.map((row) => storableText(row.detail))),
    quotedArray(rows.map((row) => row.id)),
    quotedArray(rows.map((row) => row.key)),
    hexArray(rows.map((row) => hexOf(row.bytes))),
    hexArray(rows.map((row) => hexOfHeaders(row.headers))),
    plainArray(rows.map((row) => row.appendedAt.toISOString())),
  ]);
}

/**
 * Kept when the row is made again: the row's own count goes on from it, and a later deletion raises it. Each is as old as the last command
 * of its resource, which the ledger keeps as long.
 */
function sendLastRevisions(flush: Flush, lastRevisions: Statement, plan: Plan): void {
  const gone: readonly RowChange[] = plan.rows.filter((change) => change.after === null);
  if (gone.length === 0) return;
  const ages = new Map(plan.ledger.map(({ key, at }) => [key, at]));
  flush.send(lastRevisions, [
    quotedArray(gone.map((change) => change.key)),
    plainArray(gone.map((change) => change.lastRevision)),
    plainArray(gone.map((change) => ages.get(change.key)?.toISOString() ?? 'now')),
  ]);
}

/** Nothing but nulls is sent as an empty array: unnest fills up the shorter ones with nulls. */
function sparseArray(rows: readonly LedgerRow[], of: (row: LedgerRow) => string | null): string {
  return rows.every((row) => of(row) === null) ? '{}' : quotedArray(rows.map(of));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

function hexOfHeaders(headers: Headers): string {
  return Buffer.from(JSON.stringify(headers)).toString('hex');
}

// Owns a database of Maps that keeps what the batch store's seam promises: everything of a commit, or nothing of it.
import { createHash } from 'node:crypto';
import type {
  ChangedRow,
  LedgerRow,
  ParkedRow,
  Plan,
  RowChange,
  StrayRow,
} from '../../../consumers/lane/batch-store.ts';
import type { CommandId, EntryHash, Position, ResourceKey, Revision } from '../../../shared/command/identity.ts';
import { invariant } from '../../../shared/process/errors.ts';

export interface MemoryRow {
  readonly values: ChangedRow['values'];
  readonly revision: Revision;
  readonly version: string;
}

/** One partition's whole truth; immutable to those who read it, replaced by each commit. */
export interface MemoryTruth {
  readonly rows: ReadonlyMap<ResourceKey, MemoryRow>;
  readonly lastRevisions: ReadonlyMap<ResourceKey, Revision>;
  readonly ledger: readonly LedgerRow[];
  readonly parked: ReadonlyMap<ResourceKey, readonly ParkedRow[]>;
  readonly strays: readonly StrayRow[];
  readonly tenure: MemoryTenure;
}

export interface MemoryTenure {
  readonly epoch: bigint;
  readonly owner: string | null;
  readonly commits: bigint;
  readonly claims: number;
  readonly next: Position | null;
  readonly last: { readonly position: Position; readonly hash: EntryHash } | null;
  readonly marker: { readonly entry: EntryHash; readonly deaths: number } | null;
}

export const EMPTY_TRUTH: MemoryTruth = {
  rows: new Map(),
  lastRevisions: new Map(),
  ledger: [],
  parked: new Map(),
  strays: [],
  tenure: { epoch: 0n, owner: null, commits: 0n, claims: 0, next: null, last: null, marker: null },
};

/** What the server says when a row is not the one that was recalled, in the form that pg gives it. */
export class RowChanged extends Error {
  readonly code = 'OL001';
  readonly severity = 'ERROR';
}

/** The truth after a plan; throws when the plan breaks a promise of the seam, and has then changed nothing. */
export function applyPlan(truth: MemoryTruth, plan: Plan): MemoryTruth {
  const { rows, lastRevisions } = applyRows(truth, plan.rows);
  return {
    rows,
    lastRevisions,
    ledger: appendLedger(truth, plan.ledger),
    parked: appendParked(truth, plan.parked),
    strays: [...truth.strays, ...plan.strays],
    tenure: advanced(truth.tenure, plan),
  };
}

function applyRows(truth: MemoryTruth, changes: readonly RowChange[]): Pick<MemoryTruth, 'rows' | 'lastRevisions'> {
  const rows = new Map(truth.rows);
  const lastRevisions = new Map(truth.lastRevisions);
  const once = new Set<ResourceKey>();
  for (const change of changes) {
    invariant(!once.has(change.key), `one change per row, not two of ${change.key}`);
    once.add(change.key);
    const stands = truth.rows.get(change.key);
    if (stands?.version !== change.before?.version) throw new RowChanged(`row ${change.key} is not the recalled one`);
    if (change.after === null) {
      rows.delete(change.key);
      lastRevisions.set(change.key, change.lastRevision);
    } else {
      invariant(change.after.revision === change.lastRevision, `the revision of ${change.key} is its last one`);
      rows.set(change.key, { ...change.after, version: `${truth.tenure.commits}:${change.after.revision}` });
      lastRevisions.delete(change.key);
    }
  }
  return { rows, lastRevisions };
}

function appendLedger(truth: MemoryTruth, added: readonly LedgerRow[]): readonly LedgerRow[] {
  // No unique index guards it, as in the real one: only the fence and the look-up do.
  return [...truth.ledger, ...added];
}

function appendParked(truth: MemoryTruth, added: readonly ParkedRow[]): MemoryTruth['parked'] {
  const parked = new Map(truth.parked);
  for (const row of added) {
    const before = parked.get(row.key) ?? [];
    invariant(row.number === before.length + 1, `parked commands of ${row.key} are numbered without a gap`);
    parked.set(row.key, [...before, row]);
  }
  return parked;
}

function advanced(tenure: MemoryTenure, plan: Plan): MemoryTenure {
  const read = plan.through;
  return {
    ...tenure,
    commits: tenure.commits + 1n,
    claims: plan.progress === 'yes' ? 0 : tenure.claims,
    marker: plan.progress === 'yes' ? null : tenure.marker,
    next: read === null ? tenure.next : ((read.position + 1n) as Position), // arithmetic loses the brand
    last: read === null ? tenure.last : { position: read.position, hash: read.hash },
  };
}

/** Everything that a caller could ever see of a truth, in one comparable text; for "nothing changed". */
export function fingerprint(truth: MemoryTruth): string {
  const text = JSON.stringify(
    [[...truth.rows], [...truth.lastRevisions], truth.ledger, [...truth.parked], truth.strays],
    (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
  );
  return createHash('sha256').update(text).digest('hex');
}

export function knownIds(
  truth: MemoryTruth,
  ids: readonly CommandId[],
): ReadonlyMap<CommandId, { key: ResourceKey; content: LedgerRow['content'] }[]> {
  const wanted = new Set(ids);
  const known = new Map<CommandId, { key: ResourceKey; content: LedgerRow['content'] }[]>();
  for (const row of [...truth.ledger, ...[...truth.parked.values()].flat()]) {
    if (!wanted.has(row.id)) continue;
    known.set(row.id, [...(known.get(row.id) ?? []), { key: row.key, content: row.content }]);
  }
  return known;
}

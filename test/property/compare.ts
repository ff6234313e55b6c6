// Owns the comparison of what a store holds with what the interpreter says it must hold.
import type { Json } from '../../shared/command/identity.ts';
import { trustedTypeName } from '../../shared/command/identity.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { MemoryDatabase } from '../support/simulation/memory-store.ts';
import { wholeText, type Meaning } from './interpreter.ts';

/** Both sides as plain sorted records, so that a difference reads well. */
export interface Findings {
  readonly rows: Readonly<Record<string, unknown>>;
  readonly goneAt: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, unknown>>;
  /** As many as there are outcomes: a doubled one hides in a record. */
  readonly ledgerRows: number;
  readonly parked: Readonly<Record<string, readonly { readonly id: string; readonly code: string }[]>>;
  readonly strays: readonly unknown[];
}

export function expected(meaning: Meaning): Findings {
  return {
    rows: sorted(meaning.rows),
    goneAt: sorted(new Map([...meaning.revisions].filter(([key]) => !meaning.rows.has(key)))),
    outcomes: sorted(meaning.outcomes),
    ledgerRows: meaning.outcomes.size,
    parked: sorted(meaning.parked),
    strays: meaning.strays,
  };
}

export function found({ truth, types }: MemoryDatabase): Findings {
  const outcomes = new Map(
    truth.ledger.map((row) => [
      `${row.key} ${row.id}`,
      {
        outcome: row.outcome,
        revision: row.revision,
        code: row.code,
        reply: row.reply === null ? null : (JSON.parse(row.reply) as Json),
      }, // it was printed as JSON
    ]),
  );
  const parked = [...truth.parked].map(
    ([key, rows]) => [key, rows.map((row) => ({ id: row.id, code: row.failure.code }))] as const,
  );
  return {
    rows: sorted(
      new Map(
        [...truth.rows].map(([key, { values, revision }]) => [key, { state: stateOf(key, values, types), revision }]),
      ),
    ),
    goneAt: sorted(truth.lastRevisions),
    outcomes: sorted(outcomes),
    ledgerRows: truth.ledger.length,
    parked: sorted(new Map(parked)),
    strays: truth.strays.map((stray) => ({ text: wholeText(stray), reason: stray.reason })),
  };
}

/** A row as its resource type reads it. */
export function stateOf(key: string, values: readonly (string | null)[], types: ResourceTypes): unknown {
  const [type = ''] = key.split('/');
  return types.get(trustedTypeName(type))?.rows.decode(values);
}

function sorted<T>(map: ReadonlyMap<string, T>): Readonly<Record<string, T>> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

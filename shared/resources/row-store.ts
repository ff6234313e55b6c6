// Owns the seam between a resource's state and its row: names of columns, codecs, never SQL that runs.
import type { Revision } from '../command/identity.ts';

/** One mapped column: how a value of it goes to and from PostgreSQL text without loss. */
export interface MappedColumn {
  /** As PostgreSQL spells it; quoted wherever it is used. */
  readonly name: string;
  /** A type name as `::type` takes it: `bigint`, `numeric(12,2)`, `timestamptz`, `jsonb`, `text`, … */
  readonly sqlType: string;
}

/**
 * How one resource type's rows lie in one table. It builds and reads values; whoever holds the connection runs the SQL.
 * Rows are selected as `key::text, revision::text, xmin::text` and every mapped column `::text`, in the order of `columns`.
 */
export interface RowStore<State> {
  /** Schema-qualified or not, as the developer wrote it; each part is quoted where it is used. */
  readonly table: string;
  readonly key: MappedColumn;
  /** The name of the bigint column that counts the commands which changed the row. */
  readonly revisionColumn: string;
  readonly columns: readonly MappedColumn[];
  /** The subject as the key codec prints it again; null when the key column cannot take it at all. `02` on a bigint key gives `2`. */
  canonicalSubject(subject: string): string | null;
  /** Column values as PostgreSQL text, in the order of `columns`; null is SQL null. Throws when a state cannot be written. */
  encode(state: State): readonly (string | null)[];
  /** The inverse of encode, for what the table gives back: each call makes a state of its own. */
  decode(values: readonly (string | null)[]): State;
}

/** A row as it was found; `state` is decoded anew each time that it is asked for. `version` is its xmin: what a later write of it is conditional on. */
export interface StoredRow<State = unknown> {
  readonly state: State;
  readonly revision: Revision;
  readonly version: string;
}

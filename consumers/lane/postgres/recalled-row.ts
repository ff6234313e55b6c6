// Owns a row as it was recalled: decoded when a command asks for its state, so that only that command can fail of it.
import { revision, type Revision } from '../../../shared/command/identity.ts';
import type { RowStore, StoredRow } from '../../../shared/resources/row-store.ts';
import { RowUnreadable } from '../batch-store.ts';
import type { TextRow } from './flush.ts';

/** Key, revision, xmin, and the mapped columns in their order. */
const COLUMNS_FROM = 3;

export class RecalledRow implements StoredRow {
  readonly revision: Revision;
  readonly version: string;
  readonly #store: RowStore<unknown>;
  readonly #row: TextRow;

  constructor(store: RowStore<unknown>, row: TextRow) {
    this.revision = revision(row[1] ?? '0');
    this.version = row[2] ?? '';
    this.#store = store;
    this.#row = row;
  }

  /** Throws RowUnreadable: the row cannot be expressed as this resource type's state. */
  get state(): unknown {
    try {
      return this.#store.decode(this.#row.slice(COLUMNS_FROM));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RowUnreadable(`the stored row ${JSON.stringify(this.#row[0])} cannot be read as a state: ${why}`, {
        cause,
      });
    }
  }
}

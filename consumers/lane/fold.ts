// Owns the working state of one plan: mutable while a batch is folded, gone with it. Each row, however often changed, is written once.
import { entryHash, type Command, type Entry, type Stray } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import {
  revision,
  type CommandId,
  type EntryHash,
  type ResourceKey,
  type Revision,
} from '../../shared/command/identity.ts';
import type { StoredRow } from '../../shared/resources/row-store.ts';
import type { KnownCommand, LedgerRow, ParkedRow, Plan, Recall, RowChange, StrayRow } from './batch-store.ts';
import type { After } from './decide-command.ts';
import { RowImage } from './row-image.ts';

/** A resource as the batch has left it so far. */
export interface Subject {
  readonly command: Command;
  readonly before: StoredRow | null;
  /** Null: there is no such row. */
  image: RowImage | null;
  revision: Revision;
  change: Pick<After, 'values'> | typeof DELETED | null;
}

const DELETED = { values: null } as const;

export class Fold {
  readonly #recall: Recall;
  readonly #subjects = new Map<ResourceKey, Subject>();
  readonly #known = new Map<CommandId, KnownCommand>();
  readonly #holds = new Map<ResourceKey, number>();
  readonly #strays = new Set<EntryHash>();
  readonly #ledgerRows: LedgerRow[] = [];
  readonly #parkedRows: ParkedRow[] = [];
  readonly #strayRows: StrayRow[] = [];
  readonly #tally = { entries: 0, applied: 0, rejected: 0, repeated: 0, parked: 0, strays: 0 };
  #last: Entry | null = null;

  constructor(recall: Recall) {
    this.#recall = recall;
    for (const [key, hold] of recall.holds) this.#holds.set(key, hold.nextNumber);
    for (const hash of recall.strays) this.#strays.add(hash);
  }

  /** Identity is (resource, id); the same with other content, or under another resource as far as we can see, is a conflict. */
  acquaintance(command: Command): 'new' | 'repeat' | 'id-conflict' {
    const stored = this.#recall.known.get(command.id);
    const folded = this.#known.get(command.id);
    if (stored === undefined && folded === undefined) return 'new';
    const same = (known: KnownCommand): boolean => known.key === command.key && known.content === command.content;
    return stored?.some(same) === true || (folded !== undefined && same(folded)) ? 'repeat' : 'id-conflict';
  }

  isHeld(key: ResourceKey): boolean {
    return this.#holds.has(key);
  }

  subject(command: Command): Subject {
    const folded = this.#subjects.get(command.key);
    if (folded !== undefined) return folded;
    const before = this.#recall.rows.get(command.key) ?? null;
    const subject: Subject = {
      command,
      before,
      image: before === null ? null : new RowImage(before),
      revision: before?.revision ?? this.#recall.lastRevisions.get(command.key) ?? revision(0),
      change: null,
    };
    this.#subjects.set(command.key, subject);
    return subject;
  }

  /** A deletion of what is not there changes nothing, and counts nothing. */
  change(subject: Subject, after: After | null): void {
    if (after === null && subject.image === null) return;
    subject.image = after?.image ?? null;
    subject.revision = revision(subject.revision + 1);
    subject.change = after ?? DELETED;
  }

  apply(entry: Entry, command: Command, subject: Subject, reply: string | null): void {
    const { id, key, content } = command;
    const at = entry.delivery.appendedAt;
    const { revision } = subject;
    this.#record({ id, key, content, at, outcome: 'applied', revision, code: null, detail: null, reply });
    this.#tally.applied++;
  }

  reject(
    entry: Entry,
    command: Command,
    subject: Subject,
    no: { readonly code: string; readonly detail: string },
  ): void {
    const { id, key, content } = command;
    const at = entry.delivery.appendedAt;
    const { revision } = subject;
    const { code, detail } = no;
    this.#record({ id, key, content, at, outcome: 'rejected', revision, code, detail, reply: null });
    this.#tally.rejected++;
  }

  park(entry: Entry, command: Command, failure: CommandFailure): void {
    const number = this.#holds.get(command.key) ?? 1;
    this.#holds.set(command.key, number + 1);
    const { position, bytes, headers, appendedAt } = entry.delivery;
    const { id, key, content } = command;
    const row = { key, number, id, content, position, bytes, headers, appendedAt, failure };
    this.#parkedRows.push(row);
    this.#learn(row);
    this.#tally.parked++;
  }

  /** `command`: whose it would have been, when it could be read. */
  keepStray(entry: Entry, stray: Stray, command: Command | null): void {
    const hash = entryHash(entry.delivery);
    if (this.#strays.has(hash)) {
      this.#tally.repeated++;
      return;
    }
    this.#strays.add(hash);
    const { position, bytes, headers, appendedAt } = entry.delivery;
    const { reason, detail } = stray;
    const owner = { id: command?.id ?? null, key: command?.key ?? null };
    this.#strayRows.push({ position, hash, reason, detail, ...owner, bytes, headers, appendedAt });
    this.#tally.strays++;
  }

  repeat(): void {
    this.#tally.repeated++;
  }

  passed(entry: Entry): void {
    this.#last = entry;
    this.#tally.entries++;
  }

  plan(progress: Plan['progress'], halt: Plan['halt']): Plan {
    return {
      rows: this.#rowChanges(),
      ledger: this.#ledgerRows,
      parked: this.#parkedRows,
      strays: this.#strayRows,
      through: through(this.#last),
      tally: this.#tally,
      halt,
      progress,
    };
  }

  #rowChanges(): readonly RowChange[] {
    const changes: RowChange[] = [];
    for (const [key, subject] of this.#subjects) {
      const { before, change } = subject;
      if (change === null) continue;
      changes.push({
        type: subject.command.type,
        key,
        subject: subject.command.subject,
        before,
        after: change.values === null ? null : { values: change.values, revision: subject.revision },
        lastRevision: subject.revision,
      });
    }
    return changes;
  }

  #record(row: LedgerRow): void {
    this.#ledgerRows.push(row);
    this.#learn(row);
  }

  /** Once for each id: who comes second is a repeat, or a conflict. */
  #learn(row: LedgerRow | ParkedRow): void {
    this.#known.set(row.id, row);
  }
}

function through(last: Entry | null): Plan['through'] {
  if (last === null) return null;
  return { position: last.delivery.position, hash: entryHash(last.delivery), appendedAt: last.delivery.appendedAt };
}

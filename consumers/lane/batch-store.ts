// Owns the seam between a lane and its database: hides SQL and the fence.
import type { Headers } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type {
  CommandId,
  ContentHash,
  EntryHash,
  Epoch,
  Partition,
  Position,
  ResourceKey,
  ResourceTypeName,
  Revision,
  Uuid,
} from '../../shared/command/identity.ts';
import type { Outcome } from '../../shared/command/outcome.ts';
import { OnelaneError } from '../../shared/process/errors.ts';
import type { StoredRow } from '../../shared/resources/row-store.ts';
import type { Resume } from '../../shared/transport/transport.ts';

/**
 * Every transaction locks the tenure row first and compares epoch, owner and commit count. All but claim throw TenureLost when
 * another holder is in, and DatabaseWentBack when only the count differs; then nothing was written.
 * Errors of the database come through as they are, for `failure/classify`; a COMMIT that the server turned into a ROLLBACK rejects.
 * A COMMIT whose answer was lost rejects, too. Call again with the same tenure and the same work: if the fence shows that it had been
 * carried out, the call resolves with what was committed then, without planning; otherwise the work is done now.
 */
export interface BatchStore {
  /**
   * Raises the epoch; waits for a commit in flight, at most about 4 s, then terminates the backend that blocks it. The consumer of a
   * marker that is found counts as dead, unless it gave the tenure back or is this same one: who claims again is alive.
   */
  claim(partition: Partition, by: { readonly owner: Uuid; readonly contractHash: string }): Promise<Tenure>;
  /** One transaction: fence, recall, plan, persist, position. `locking` says how rows are recalled. */
  transact(tenure: Tenure, step: BatchStep, locking: RowLocking): Promise<Committed>;
  /** One transaction for many steps, each under a savepoint: a step that the database refuses is planned once more with its refusal. After a plan that halts no further step is run. */
  transactEach(tenure: Tenure, steps: readonly BatchStep[], locking: RowLocking): Promise<Committed>;
  /** Commits that this entry is about to be decided, so that a death can be laid at its door. Raises the commit count. */
  mark(tenure: Tenure, entry: EntryHash): Promise<Tenure>;
  /** How many count as dead of the marked entry by now: a consumer that renews its membership does not any more. */
  deaths(tenure: Tenure): Promise<number>;
  /** Gives the tenure up in good order: its own claim no longer counts. What was counted before, and the marker, stay until there is progress. */
  release(tenure: Tenure): Promise<void>;
}

/**
 * `optimistic`: rows are read, and written only if their xmin is still the recalled one. `rows`: rows are locked when recalled.
 * `tables`: the tables themselves are locked against other writers (`share row exclusive`); the last resort against scripts that
 * insert and delete the same key faster than we can plan.
 */
export type RowLocking = 'optimistic' | 'rows' | 'tables';

export interface BatchStep {
  readonly wanted: Wanted;
  /** Pure but for waiting its turn; called once per attempt, with the refusal when the attempt before was refused. */
  plan(found: Recall, refusal: CommandFailure | null): Plan | Promise<Plan>;
  /** Called after the flush that persists has been sent up to, but without, COMMIT. */
  beforeCommit?(): Promise<void> | undefined;
}

export interface Committed {
  readonly plans: readonly Plan[];
  readonly tenure: Tenure;
}

/** What a lane holds; immutable: each commit gives the next one. */
export interface Tenure {
  readonly partition: Partition;
  readonly epoch: Epoch;
  readonly owner: Uuid;
  /** As this lane last saw it; the fence compares it. */
  readonly commits: bigint;
  readonly resume: Resume;
  /** Claims since the last progress, this one included. */
  readonly claims: number;
  /** The entry that was about to be decided when a holder died, and how many count as dead of it. */
  readonly marker: { readonly entry: EntryHash; readonly deaths: number } | null;
}

/** What must be known before a batch can be planned. No duplicates in any list. */
export interface Wanted {
  readonly ids: readonly CommandId[];
  /** Canonical subjects per known type. */
  readonly subjects: ReadonlyMap<ResourceTypeName, readonly string[]>;
  /** Every resource that the batch names, known type or not: for holds and last revisions. */
  readonly keys: readonly ResourceKey[];
  /** Entries that are strays whatever is recalled (unreadable, misrouted): have they been kept already? */
  readonly entries: readonly { readonly position: Position; readonly hash: EntryHash }[];
}

export interface Recall {
  /** By id; several resources may have used the same one. From the ledger and from parked commands. */
  readonly known: ReadonlyMap<CommandId, readonly KnownCommand[]>;
  readonly rows: ReadonlyMap<ResourceKey, StoredRow>;
  /** Of rows deleted within the ledger's retention. */
  readonly lastRevisions: ReadonlyMap<ResourceKey, Revision>;
  readonly holds: ReadonlyMap<ResourceKey, Hold>;
  /** Hashes of this partition's strays that have a wanted entry's hash, or (id conflicts) a wanted id. */
  readonly strays: ReadonlySet<EntryHash>;
}

export interface KnownCommand {
  readonly key: ResourceKey;
  readonly content: ContentHash;
}

export interface Hold {
  /** The number that the next parked command of this resource gets; from 1. */
  readonly nextNumber: number;
}

/** Everything one transaction will write. */
export interface Plan {
  readonly rows: readonly RowChange[];
  readonly ledger: readonly LedgerRow[];
  readonly parked: readonly ParkedRow[];
  readonly strays: readonly StrayRow[];
  /** The batch's last entry; null: nothing was read (the position stays). */
  readonly through: { readonly position: Position; readonly hash: EntryHash; readonly appendedAt: Date } | null;
  readonly tally: Tally;
  /** The policy said halt: the plan stops before this entry, and the lane halts after the commit. */
  readonly halt: { readonly position: Position; readonly failure: CommandFailure } | null;
  /** `yes`: a commit clears the count of claims without progress. Singly planned entries under suspicion say `no`. */
  readonly progress: 'yes' | 'no';
}

export interface Tally {
  readonly entries: number;
  readonly applied: number;
  readonly rejected: number;
  readonly repeated: number;
  readonly parked: number;
  readonly strays: number;
}

/**
 * The folded change of one row. `before` null: insert; `after` null: delete. Both null: the batch made and deleted the row again,
 * nothing of it is written but its last revision.
 */
export interface RowChange {
  readonly type: ResourceTypeName;
  readonly key: ResourceKey;
  readonly subject: string;
  readonly before: StoredRow | null;
  readonly after: ChangedRow | null;
  /** What a resource's count goes on from after this batch. */
  readonly lastRevision: Revision;
}

export interface ChangedRow {
  /** As the row store encoded them when the command was decided. */
  readonly values: readonly (string | null)[];
  readonly revision: Revision;
}

export interface LedgerRow {
  readonly id: CommandId;
  readonly key: ResourceKey;
  readonly content: ContentHash;
  /** The entry's append time: decides the ledger partition. */
  readonly at: Date;
  readonly outcome: 'applied' | 'rejected';
  readonly revision: Revision;
  readonly code: string | null;
  readonly detail: string | null;
  /** JSON text; NUL stands escaped in it, so it is stored as text. */
  readonly reply: string | null;
}

export interface ParkedRow {
  readonly key: ResourceKey;
  readonly number: number;
  readonly id: CommandId;
  readonly content: ContentHash;
  readonly position: Position;
  readonly bytes: Uint8Array;
  readonly headers: Headers;
  readonly appendedAt: Date;
  readonly failure: CommandFailure;
}

export interface StrayRow {
  readonly position: Position;
  readonly hash: EntryHash;
  readonly reason: string;
  readonly detail: string;
  /** Set for an id conflict: whose command it would have been. */
  readonly id: CommandId | null;
  readonly key: ResourceKey | null;
  readonly bytes: Uint8Array;
  readonly headers: Headers;
  readonly appendedAt: Date;
}

/** Another epoch or owner stands at the fence: stop this lane, touch nothing. */
export class TenureLost extends OnelaneError {
  readonly code = 'tenure-lost' as const;
}

/** Our epoch and owner, but another commit count: the database was rolled back under us. Release the lane and claim anew. */
export class DatabaseWentBack extends OnelaneError {
  readonly code = 'database-went-back' as const;
}

/**
 * A stored row that its resource type cannot read (a script wrote what the mapping does not allow). Thrown by `StoredRow.state` when
 * a plan asks for it; a refusal of the commands that need it.
 */
export class RowUnreadable extends OnelaneError {
  readonly code = 'row-unreadable' as const;
}

export type { Outcome };

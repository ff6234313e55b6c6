// Owns the outcome of a command: what the ledger stores and what the caller gets.
import type { CommandId, ContentHash, Json, ResourceKey, Revision } from './identity.ts';
import type { FailureCode } from './failure.ts';

export type Outcome =
  | { readonly kind: 'applied'; readonly revision: Revision; readonly reply: Json | null }
  /** `revision` is the resource's at the time of the "no". */
  | { readonly kind: 'rejected'; readonly revision: Revision; readonly code: string; readonly detail: string }
  | { readonly kind: 'parked'; readonly code: FailureCode; readonly detail: string; readonly number: number }
  | { readonly kind: 'discarded'; readonly detail: string };

/** An outcome with whose it is: (resource, id) is the identity, content tells an honest repeat from a reused id. */
export interface RecordedOutcome {
  readonly id: CommandId;
  readonly key: ResourceKey;
  readonly content: ContentHash;
  readonly outcome: Outcome;
}

/** Rejections that the lane itself makes; a resource type's own codes stand beside them. */
export const REJECTION = {
  revisionMismatch: 'revision-mismatch',
  subjectNotCanonical: 'subject-not-canonical',
} as const;

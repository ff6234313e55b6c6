// Owns the heart: what one transaction will write, folded in memory from entries and what was recalled. No I/O, no clock, no randomness.
import type { Command, Entry, Stray } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Position } from '../../shared/command/identity.ts';
import { REJECTION } from '../../shared/command/outcome.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { FailurePolicy } from '../failure/policies.ts';
import type { Plan, Recall } from './batch-store.ts';
import { decideCommand, readPayload } from './decide-command.ts';
import { Fold, type Subject } from './fold.ts';

export interface PlanGiven {
  readonly types: ResourceTypes;
  readonly policy: FailurePolicy;
  /** Commands that are not to be decided any more: the database refused them, or they killed their consumer. */
  readonly refused: ReadonlyMap<Position, CommandFailure>;
  /** `no`: under suspicion; a commit of this plan proves nothing about the entries after it. */
  readonly progress: 'yes' | 'no';
}

/**
 * Folds `entries`, in order, over `recall`. Each is a repeat, a stray, parked, rejected or applied; the plan stops before the first
 * failure for which the policy says `halt-lane`. Calls `decide` and the policy, nothing else that is not its own.
 */
export function planBatch(entries: readonly Entry[], recall: Recall, given: PlanGiven): Plan {
  const fold = new Fold(recall);
  for (const entry of entries) {
    const halt = planEntry(fold, entry, given);
    if (halt !== null) return fold.plan(given.progress, { position: entry.delivery.position, failure: halt });
    fold.passed(entry);
  }
  return fold.plan(given.progress, null);
}

/** The failure that halts the lane before this entry, or null. */
function planEntry(fold: Fold, entry: Entry, given: PlanGiven): CommandFailure | null {
  const { body } = entry;
  if (body.kind === 'stray') {
    fold.keepStray(entry, body, null);
    return null;
  }
  switch (fold.acquaintance(body)) {
    case 'repeat':
      fold.repeat();
      return null;
    case 'id-conflict':
      fold.keepStray(entry, idConflict(body), body);
      return null;
    case 'new':
      return planCommand(fold, entry, body, given);
  }
}

function planCommand(fold: Fold, entry: Entry, command: Command, given: PlanGiven): CommandFailure | null {
  if (fold.isHeld(command.key)) {
    fold.park(entry, command, heldBehind(command));
    return null;
  }
  const refused = given.refused.get(entry.delivery.position);
  if (refused !== undefined) return fail(fold, entry, command, { failure: refused, policy: given.policy });
  const type = given.types.get(command.type);
  const canonical = type === undefined ? command.subject : type.rows.canonicalSubject(command.subject);
  if (canonical !== command.subject) {
    fold.reject(entry, command, fold.subject(command), notCanonical(command, canonical));
    return null;
  }
  const payload = readPayload(type, command);
  if (payload.kind === 'failure') return fail(fold, entry, command, { failure: payload.failure, policy: given.policy });
  const subject = fold.subject(command);
  const mismatch = revisionMismatch(command, subject);
  if (mismatch !== null) {
    fold.reject(entry, command, subject, mismatch);
    return null;
  }
  const verdict = decideCommand(payload, command, subject.image?.lend() ?? null, subject.revision);
  switch (verdict.kind) {
    case 'failure':
      return fail(fold, entry, command, { failure: verdict.failure, policy: given.policy });
    case 'reject':
      fold.reject(entry, command, subject, verdict);
      return null;
    case 'unchanged':
      fold.apply(entry, command, subject, verdict.reply);
      return null;
    case 'change':
      fold.change(subject, verdict.after);
      fold.apply(entry, command, subject, verdict.reply);
      return null;
  }
}

function fail(
  fold: Fold,
  entry: Entry,
  command: Command,
  about: { readonly failure: CommandFailure; readonly policy: FailurePolicy },
): CommandFailure | null {
  if (about.policy.onCommandFailure(about.failure, command) === 'halt-lane') return about.failure;
  fold.park(entry, command, about.failure);
  return null;
}

/** Expected revision 0 means that there is no such row, whatever revision a deleted one had. */
function revisionMismatch(
  command: Command,
  subject: Subject,
): { readonly code: string; readonly detail: string } | null {
  const expected = command.expectedRevision;
  const actual = subject.image === null ? 0 : subject.revision;
  if (expected === null || expected === actual) return null;
  const found = actual === 0 ? 'there is none' : `it is at revision ${actual}`;
  const wanted =
    expected === 0 ? `${command.key} was expected not to exist` : `${command.key} was expected at revision ${expected}`;
  return { code: REJECTION.revisionMismatch, detail: `${wanted}, but ${found}: read it again and decide anew` };
}

function notCanonical(command: Command, canonical: string | null): { readonly code: string; readonly detail: string } {
  const advice = canonical === null ? 'it cannot be a key of that table' : `write it as ${JSON.stringify(canonical)}`;
  return {
    code: REJECTION.subjectNotCanonical,
    detail: `${JSON.stringify(command.subject)} does not name a ${command.type}: ${advice}`,
  };
}

function heldBehind(command: Command): CommandFailure {
  return {
    code: 'resource-held',
    detail: `${command.key} is held by an earlier parked command; this one waits behind it, in order`,
  };
}

function idConflict(command: Command): Stray {
  return {
    kind: 'stray',
    reason: 'id-conflict',
    detail: `id ${command.id} was used before with other content; send ${command.key} a new id`,
  };
}

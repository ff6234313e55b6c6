// Owns how an outcome is shown: the document of a question, and the answer of a submission that waited.
import type { CommandId, ResourceKey } from '../../shared/command/identity.ts';
import type { Outcome, RecordedOutcome } from '../../shared/command/outcome.ts';
import { REJECTION } from '../../shared/command/outcome.ts';
import { problem, type Problem, type ProblemCode } from './problem.ts';

export interface OutcomeDocument {
  readonly id: CommandId;
  readonly resource: ResourceKey;
  readonly status: Outcome['kind'];
  readonly [name: string]: unknown;
}

/** Asked for, an outcome is an answer like any other, whatever it is. */
export function outcomeDocument({ id, key, outcome }: RecordedOutcome): OutcomeDocument {
  const base = { id, resource: key, status: outcome.kind };
  switch (outcome.kind) {
    case 'applied':
      return { ...base, revision: outcome.revision, reply: outcome.reply };
    case 'rejected':
      return { ...base, revision: outcome.revision, code: outcome.code, detail: outcome.detail };
    case 'parked':
      return { ...base, code: outcome.code, detail: outcome.detail, number: outcome.number };
    case 'discarded':
      return { ...base, detail: outcome.detail };
  }
}

/** Why a command that was waited for was not applied, or null: applied, or parked for now. */
export function refusalOf(recorded: RecordedOutcome): Problem | null {
  const { outcome } = recorded;
  const more = { id: recorded.id, outcome: outcomeDocument(recorded) };
  switch (outcome.kind) {
    case 'applied':
    case 'parked':
      return null;
    case 'rejected':
      return problem(REJECTION_PROBLEM[outcome.code] ?? 'rejected', outcome.detail, { ...more, code: outcome.code });
    case 'discarded':
      return problem('command-discarded', outcome.detail, more);
  }
}

/** The lane's own rejections; every other code is the resource type's. */
const REJECTION_PROBLEM: Readonly<Record<string, ProblemCode | undefined>> = Object.assign(Object.create(null), {
  [REJECTION.revisionMismatch]: 'revision-mismatch',
  [REJECTION.subjectNotCanonical]: 'subject-not-canonical',
});

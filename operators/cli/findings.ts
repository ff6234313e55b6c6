// Owns the running of checks one by one: what one finds, later ones stand on; what they stand on missing, they are skipped.
import { describeError } from '../../shared/process/log.ts';
import { asError, OnelaneError } from '../../shared/process/errors.ts';
import type { CommandGiven } from './command.ts';

export interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warn' | 'fail' | 'skip';
  readonly says: string;
  /** What to do; null: nothing, or the sentence says it. */
  readonly advice: string | null;
}

export type Verdict = Omit<Finding, 'check'>;

/** What checks find for those after them, and what must be closed in the end. */
export interface Ground<Found> {
  readonly given: CommandGiven;
  found: Partial<Found>;
  readonly closing: (() => Promise<void>)[];
}

export interface Check<Found> {
  readonly name: string;
  /** Skipped unless all of these were found. */
  readonly needs: readonly (keyof Found)[];
  /** A thrown error of ours is a failure with its sentence. */
  run(ground: Ground<Found>): Promise<Verdict>;
}

export const ok = (says: string): Verdict => ({ verdict: 'ok', says, advice: null });
export const warn = (says: string, advice: string): Verdict => ({ verdict: 'warn', says, advice });
export const fail = (says: string, advice: string | null): Verdict => ({ verdict: 'fail', says, advice });

/** Never rejects; `tell` is called as each check ends. */
export async function runChecks<Found>(
  checks: readonly Check<Found>[],
  given: CommandGiven,
  tell: (finding: Finding) => void,
): Promise<readonly Finding[]> {
  const ground: Ground<Found> = { given, found: {}, closing: [] };
  const findings: Finding[] = [];
  for (const check of checks) {
    const finding = { check: check.name, ...(await verdictOf(check, ground)) };
    findings.push(finding);
    tell(finding);
  }
  for (const close of ground.closing.reverse()) await close();
  return findings;
}

async function verdictOf<Found>(check: Check<Found>, ground: Ground<Found>): Promise<Verdict> {
  const missing = check.needs.filter((name) => ground.found[name] === undefined);
  if (missing.length > 0) {
    return {
      verdict: 'skip',
      says: `not checked: it needs the ${missing.map(String).join(' and the ')}`,
      advice: null,
    };
  }
  try {
    return await check.run(ground);
  } catch (thrown) {
    const error = asError(thrown);
    return error instanceof OnelaneError
      ? fail(`${error.message} [${error.code}]`, null)
      : fail(describeError(error), null);
  }
}

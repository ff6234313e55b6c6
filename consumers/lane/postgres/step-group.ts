// Owns an accelerator of single steps: a run of them that name nothing in common is recalled, tried and booked together, in two round trips.
//
// It does nothing that the steps one after the other would not do: on anything out of the ordinary (a row that another step's trigger
// touched, a halt, a refusal of the recall) it takes everything back and leaves the run to them.
import type pg from 'pg';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import type { ResourceTypeName } from '../../../shared/command/identity.ts';
import { classify, ROW_NOT_TAKEN } from '../../failure/classify.ts';
import type { BatchStep, Plan, Recall, RowLocking, Tenure, Wanted } from '../batch-store.ts';
import { sendBooks } from './books.ts';
import { Flush, FlushFailed, statement, type Answer } from './flush.ts';
import { readRecall, sendRecall } from './recall.ts';
import { attemptFailure } from './row-writes.ts';
import type { StoreParts } from './store.ts';

export const SAVEPOINT = statement('savepoint step');
export const RELEASE = statement('release savepoint step');
export const BACK = statement('rollback to savepoint step');

/** Mutable within one transaction. */
export interface StepRun {
  readonly parts: StoreParts;
  readonly client: pg.PoolClient;
  readonly tenure: Tenure;
  readonly locking: RowLocking;
  readonly plans: Plan[];
  /** The partition's, with those of this transaction. */
  strays: bigint;
}

/** The longest run from `first` on, of at most `max`, whose steps have no id, no key and no entry in common: none can see what another one writes. */
export function disjointRun(steps: readonly BatchStep[], first: number, max: number): readonly BatchStep[] {
  const seen = new Set<string>();
  let end = first;
  for (; end < steps.length && end - first < max; end++) {
    const names = namesOf(steps[end]?.wanted);
    if (names.some((name) => seen.has(name))) break;
    for (const name of names) seen.add(name);
  }
  return steps.slice(first, end);
}

/** True: all of them stand in the run's plans and in the database. False: nothing was done. */
export async function runGroup(run: StepRun, steps: readonly BatchStep[]): Promise<boolean> {
  const found = await recallAll(run, steps);
  if (found === null) return await takeBack(run);
  const plans: Plan[] = [];
  for (const step of steps) {
    const made = await planStep(run, step, found, null);
    const plan = made.kind === 'plan' ? made.plan : await parkedPlan(run, step, found, made.failure);
    if (plan === null || plan.halt !== null) return await takeBack(run);
    plans.push(plan);
  }
  const refusals = await tryRows(run, plans);
  if (refusals === null) return await takeBack(run);
  for (const [at, failure] of refusals) {
    const step = steps[at];
    const plan = step === undefined ? null : await parkedPlan(run, step, found, failure);
    if (plan === null) return await takeBack(run);
    plans[at] = plan;
  }
  await book(run, plans);
  return true;
}

export type Planned =
  { readonly kind: 'plan'; readonly plan: Plan } | { readonly kind: 'refusal'; readonly failure: CommandFailure };

/** Planning itself is refused when a row cannot be read as a state. */
export async function planStep(
  run: StepRun,
  step: BatchStep,
  found: Recall,
  refusal: CommandFailure | null,
): Promise<Planned> {
  try {
    const plan = await step.plan(found, refusal);
    await run.parts.coverage.cover(plan.ledger);
    return { kind: 'plan', plan };
  } catch (thrown) {
    const verdict = classify(thrown, run.parts.database);
    if (refusal !== null || verdict.kind !== 'refusal') throw thrown;
    return { kind: 'refusal', failure: verdict.failure };
  }
}

/** The plan of a refused step, which writes no rows and does not halt; null when it is not like that. */
async function parkedPlan(run: StepRun, step: BatchStep, found: Recall, failure: CommandFailure): Promise<Plan | null> {
  const made = await planStep(run, step, found, failure);
  return made.kind === 'plan' && made.plan.rows.length === 0 && made.plan.halt === null ? made.plan : null;
}

async function recallAll(run: StepRun, steps: readonly BatchStep[]): Promise<Recall | null> {
  const flush = new Flush(run.client);
  flush.send(SAVEPOINT);
  const wanted = merged(steps.map((step) => step.wanted));
  const sent = sendRecall(flush, run.parts.recall, wanted, {
    partition: run.tenure.partition,
    locking: run.locking,
  });
  try {
    return readRecall(await flush.answers(), sent);
  } catch (thrown) {
    if (thrown instanceof FlushFailed && classify(thrown.reason, run.parts.database).kind === 'refusal') return null;
    throw thrown;
  }
}

/** Which plans the database refused, and why; null when something else than a refusal came up. */
async function tryRows(run: StepRun, plans: readonly Plan[]): Promise<ReadonlyMap<number, CommandFailure> | null> {
  const flush = new Flush(run.client);
  const places = plans.map((plan) => run.parts.writes.sendAttempt(flush, plan.rows, run.locking));
  const answers: readonly Answer[] = await flush.answers();
  const refusals = new Map<number, CommandFailure>();
  for (const [at, place] of places.entries()) {
    const failure = place === null ? null : attemptFailure(answers[place]);
    if (failure === null) continue;
    const verdict = classify(failure, run.parts.database);
    if (verdict.kind !== 'refusal' || verdict.failure.sqlstate === ROW_NOT_TAKEN) return null;
    refusals.set(at, verdict.failure);
  }
  return refusals;
}

async function book(run: StepRun, plans: readonly Plan[]): Promise<void> {
  const flush = new Flush(run.client);
  const [last] = plans.slice(-1);
  if (last !== undefined) {
    const all: Plan = {
      ...last,
      rows: plans.flatMap((plan) => plan.rows),
      ledger: plans.flatMap((plan) => plan.ledger),
      parked: plans.flatMap((plan) => plan.parked),
      strays: plans.flatMap((plan) => plan.strays),
    };
    sendBooks(flush, run.parts.books, all, { partition: run.tenure.partition, strays: run.strays });
    run.strays += BigInt(all.strays.length);
  }
  flush.send(RELEASE);
  await flush.answers();
  run.plans.push(...plans);
}

async function takeBack(run: StepRun): Promise<false> {
  const flush = new Flush(run.client);
  flush.send(BACK);
  flush.send(RELEASE);
  await flush.answers();
  return false;
}

function merged(all: readonly Wanted[]): Wanted {
  const subjects = new Map<ResourceTypeName, string[]>();
  for (const wanted of all) {
    for (const [type, names] of wanted.subjects) {
      const known = subjects.get(type);
      if (known === undefined) subjects.set(type, [...names]);
      else known.push(...names);
    }
  }
  return {
    ids: all.flatMap((wanted) => wanted.ids),
    keys: all.flatMap((wanted) => wanted.keys),
    entries: all.flatMap((wanted) => wanted.entries),
    subjects,
  };
}

function namesOf(wanted: Wanted | undefined): readonly string[] {
  if (wanted === undefined) return [];
  return [...wanted.ids, ...wanted.keys, ...wanted.entries.map((entry) => entry.hash)];
}

// Owns many steps in one transaction, each under a savepoint, so that a refused one is planned once more and the others stay.
//
// One flush a step: what step n writes travels together with what step n + 1 recalls. A refusal costs one flush more: back to the savepoint,
// the refused step's second plan, and the recall that had failed behind it.
import type pg from 'pg';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import { classify } from '../../failure/classify.ts';
import type { BatchStep, Committed, Plan, Recall, RowLocking, Tenure, Wanted } from '../batch-store.ts';
import { answersBehindFence, judgeFence, sendFence } from './fence.ts';
import { Flush, FlushFailed, statement, type Answer } from './flush.ts';
import { withLaneClient } from './lane-client.ts';
import { readRecall, sendRecall, type RecallSent } from './recall.ts';
import type { StoreParts } from './store.ts';
import { commit, recovered, sendPlan } from './transact.ts';
import type { Work } from './unconfirmed.ts';

const SAVEPOINT = statement('savepoint step');
const RELEASE = statement('release savepoint step');
const BACK = statement('rollback to savepoint step');

export async function transactEach(
  parts: StoreParts,
  tenure: Tenure,
  steps: readonly BatchStep[],
  locking: RowLocking,
): Promise<Committed> {
  try {
    return await withLaneClient(parts.lanePool, (client) => inTransaction(parts, client, tenure, { steps, locking }));
  } catch (cause) {
    parts.coverage.noteFailure(cause);
    throw cause;
  }
}

/** Mutable within one transaction. */
interface Run {
  readonly parts: StoreParts;
  readonly client: pg.PoolClient;
  readonly tenure: Tenure;
  readonly locking: RowLocking;
  readonly plans: Plan[];
  /** The partition's, with those of this transaction. */
  strays: bigint;
}

async function inTransaction(
  parts: StoreParts,
  client: pg.PoolClient,
  tenure: Tenure,
  { steps, locking }: { readonly steps: readonly BatchStep[]; readonly locking: RowLocking },
): Promise<Committed> {
  const work: Work = { kind: 'steps', steps };
  const run: Run = { parts, client, tenure, locking, plans: [], strays: 0n };
  const first = new Flush(client);
  const fenceAt = sendFence(first, parts.fence.lock, tenure);
  const fenced = judgeFence((await answersBehindFence(first, fenceAt))[fenceAt], tenure);
  if (fenced.ahead > 0n) return await recovered(parts, client, tenure, work);
  run.strays = fenced.strays;
  let opened = await openFirst(run, steps[0]);
  for (const [at, step] of steps.entries()) {
    if (opened === null) break;
    opened = await runStep(run, step, opened, steps[at + 1]);
  }
  return await commit(parts, client, new Flush(client), { tenure, work, plans: run.plans });
}

/** What a step is planned from; with a refusal when its rows could not even be recalled. */
interface Opened {
  readonly found: Recall;
  readonly refusal: CommandFailure | null;
}

async function openFirst(run: Run, step: BatchStep | undefined): Promise<Opened | null> {
  if (step === undefined) return null;
  const flush = new Flush(run.client);
  const opening = sendOpening(run, flush, step.wanted);
  return await openedBy(run, step, opening, await answersOf(flush));
}

/** Returns what the next step is planned from; null when none may follow. */
async function runStep(run: Run, step: BatchStep, opened: Opened, next: BatchStep | undefined): Promise<Opened | null> {
  let { refusal } = opened;
  for (;;) {
    const made = await planStep(run, step, opened.found, refusal);
    if (made.kind === 'refusal') {
      refusal = made.failure;
      continue;
    }
    const { plan } = made;
    const flush = new Flush(run.client);
    if (refusal !== null) flush.send(BACK);
    sendPlan(flush, run.parts, plan, run);
    const released = flush.send(RELEASE);
    const follows = plan.halt === null ? next : undefined;
    const opening = follows === undefined ? null : sendOpening(run, flush, follows.wanted);
    const answers = await answersOf(flush);
    if (answers instanceof FlushFailed && answers.at <= released) {
      if (refusal !== null) throw answers;
      refusal = refusalOf(run, answers);
      continue;
    }
    run.plans.push(plan);
    run.strays += BigInt(plan.strays.length);
    return follows === undefined || opening === null ? null : await openedBy(run, follows, opening, answers);
  }
}

type Planned =
  { readonly kind: 'plan'; readonly plan: Plan } | { readonly kind: 'refusal'; readonly failure: CommandFailure };

/** Planning itself is refused when a row cannot be read as a state. */
async function planStep(run: Run, step: BatchStep, found: Recall, refusal: CommandFailure | null): Promise<Planned> {
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

function sendOpening(run: Run, flush: Flush, wanted: Wanted): RecallSent {
  flush.send(SAVEPOINT);
  return sendRecall(flush, run.parts.recall, wanted, { partition: run.tenure.partition, locking: run.locking });
}

async function openedBy(
  run: Run,
  step: BatchStep,
  sent: RecallSent,
  answers: readonly Answer[] | FlushFailed,
): Promise<Opened> {
  if (!(answers instanceof FlushFailed)) return { found: readRecall(answers, sent), refusal: null };
  const refusal = refusalOf(run, answers);
  const flush = new Flush(run.client);
  flush.send(BACK);
  const { partition } = run.tenure;
  const books = sendRecall(
    flush,
    run.parts.recall,
    { ...step.wanted, subjects: new Map() },
    { partition, locking: run.locking },
  );
  return { found: readRecall(await flush.answers(), books), refusal };
}

async function answersOf(flush: Flush): Promise<readonly Answer[] | FlushFailed> {
  try {
    return await flush.answers();
  } catch (thrown) {
    if (thrown instanceof FlushFailed) return thrown;
    throw thrown;
  }
}

/** Everything but a refusal ends the whole transaction. */
function refusalOf(run: Run, failed: FlushFailed): CommandFailure {
  const verdict = classify(failed.reason, run.parts.database);
  if (verdict.kind !== 'refusal') throw failed;
  return verdict.failure;
}

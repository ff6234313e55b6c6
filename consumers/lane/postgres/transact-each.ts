// Owns many steps in one transaction, each under a savepoint, so that a refused one is planned once more and the others stay.
//
// One flush a step: what step n writes travels together with what step n + 1 recalls. A refusal costs one flush more: back to the savepoint,
// the refused step's second plan, and the recall that had failed behind it.
import type pg from 'pg';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import { classify } from '../../failure/classify.ts';
import type { BatchStep, Committed, Recall, RowLocking, Tenure, Wanted } from '../batch-store.ts';
import { answersBehindFence, judgeFence, sendFence } from './fence.ts';
import { Flush, FlushFailed, type Answer } from './flush.ts';
import { withLaneClient } from './lane-client.ts';
import { readRecall, sendRecall, type RecallSent } from './recall.ts';
import { BACK, disjointRun, planStep, RELEASE, runGroup, SAVEPOINT, type StepRun } from './step-group.ts';
import type { StoreParts } from './store.ts';
import { commit, recovered, sendPlan } from './transact.ts';
import type { Work } from './unconfirmed.ts';

const GROUP_MAX = 200;
/** Fewer are not worth a group's two round trips. */
const GROUP_MIN = 4;

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

async function inTransaction(
  parts: StoreParts,
  client: pg.PoolClient,
  tenure: Tenure,
  { steps, locking }: { readonly steps: readonly BatchStep[]; readonly locking: RowLocking },
): Promise<Committed> {
  const work: Work = { kind: 'steps', steps };
  const run: StepRun = { parts, client, tenure, locking, plans: [], strays: 0n };
  const first = new Flush(client);
  const fenceAt = sendFence(first, parts.fence.lock, tenure);
  const fenced = judgeFence((await answersBehindFence(first, fenceAt))[fenceAt], tenure);
  if (fenced.ahead > 0n) return await recovered(parts, client, tenure, work);
  run.strays = fenced.strays;
  await runAll(run, steps);
  return await commit(parts, client, new Flush(client), { tenure, work, plans: run.plans });
}

async function runAll(run: StepRun, steps: readonly BatchStep[]): Promise<void> {
  for (let at = 0; at < steps.length && !hasHalted(run);) {
    const group = disjointRun(steps, at, GROUP_MAX);
    if (group.length >= GROUP_MIN && (await runGroup(run, group))) {
      at += group.length;
      continue;
    }
    let end = at + group.length;
    while (end < steps.length && disjointRun(steps, end, GROUP_MIN).length < GROUP_MIN) end++;
    await runInTurn(run, steps.slice(at, end));
    at = end;
  }
}

async function runInTurn(run: StepRun, steps: readonly BatchStep[]): Promise<void> {
  let opened = await openFirst(run, steps[0]);
  for (const [at, step] of steps.entries()) {
    if (opened === null) break;
    opened = await runStep(run, step, opened, steps[at + 1]);
  }
}

function hasHalted(run: StepRun): boolean {
  return run.plans.some((plan) => plan.halt !== null);
}

/** What a step is planned from; with a refusal when its rows could not even be recalled. */
interface Opened {
  readonly found: Recall;
  readonly refusal: CommandFailure | null;
}

async function openFirst(run: StepRun, step: BatchStep | undefined): Promise<Opened | null> {
  if (step === undefined) return null;
  const flush = new Flush(run.client);
  const opening = sendOpening(run, flush, step.wanted);
  return await openedBy(run, step, opening, await answersOf(flush));
}

/** Returns what the next step is planned from; null when none may follow. */
async function runStep(
  run: StepRun,
  step: BatchStep,
  opened: Opened,
  next: BatchStep | undefined,
): Promise<Opened | null> {
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

function sendOpening(run: StepRun, flush: Flush, wanted: Wanted): RecallSent {
  flush.send(SAVEPOINT);
  return sendRecall(flush, run.parts.recall, wanted, { partition: run.tenure.partition, locking: run.locking });
}

async function openedBy(
  run: StepRun,
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
function refusalOf(run: StepRun, failed: FlushFailed): CommandFailure {
  const verdict = classify(failed.reason, run.parts.database);
  if (verdict.kind !== 'refusal') throw failed;
  return verdict.failure;
}

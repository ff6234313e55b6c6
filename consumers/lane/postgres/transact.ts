// Owns one batch's transaction: two flushes, found then written, with COMMIT in the second unless somebody wants to be told before.
import type pg from 'pg';
import { STATEMENT_LENGTH_MAX } from '../../../shared/resources/array-text.ts';
import type { BatchStep, Committed, Plan, RowLocking, Tenure } from '../batch-store.ts';
import { sendBooks } from './books.ts';
import { advanced, answersBehindFence, judgeFence, sendAdvance, sendFence, unexplained } from './fence.ts';
import { COMMIT, Flush, requireCommitted, statement } from './flush.ts';
import { rollBack, withLaneClient } from './lane-client.ts';
import { readRecall, sendRecall } from './recall.ts';
import type { StoreParts } from './store.ts';
import type { Work } from './unconfirmed.ts';

/** Deferred constraints speak while the batch can still be told what they said. */
export const CHECK_DEFERRED = statement('set constraints all immediate');

/** In characters, of one statement for several entries: larger ones are so slow that the statement timeout would come first. */
const SEVERAL_LENGTH_MAX = 64_000_000;

export async function transact(
  parts: StoreParts,
  tenure: Tenure,
  step: BatchStep,
  locking: RowLocking,
): Promise<Committed> {
  try {
    return await withLaneClient(parts.lanePool, (client) => inTransaction(parts, client, tenure, { step, locking }));
  } catch (cause) {
    parts.coverage.noteFailure(cause);
    throw cause;
  }
}

async function inTransaction(
  parts: StoreParts,
  client: pg.PoolClient,
  tenure: Tenure,
  { step, locking }: { readonly step: BatchStep; readonly locking: RowLocking },
): Promise<Committed> {
  const work: Work = { kind: 'steps', steps: [step] };
  const { partition } = tenure;
  const first = new Flush(client);
  const fenceAt = sendFence(first, parts.fence.lock, tenure);
  const sent = sendRecall(first, parts.recall, step.wanted, { partition, locking });
  const answers = await answersBehindFence(first, fenceAt);
  const fenced = judgeFence(answers[fenceAt], tenure);
  if (fenced.ahead > 0n) return await recovered(parts, client, tenure, work);
  const plan = await step.plan(readRecall(answers, sent), null);
  await parts.coverage.cover(plan.ledger);
  const second = new Flush(client, plan.tally.entries > 1 ? SEVERAL_LENGTH_MAX : STATEMENT_LENGTH_MAX);
  sendPlan(second, parts, plan, { tenure, strays: fenced.strays, locking });
  return await commit(parts, client, second, { tenure, work, plans: [plan] });
}

export function sendPlan(
  flush: Flush,
  parts: StoreParts,
  plan: Plan,
  about: { readonly tenure: Tenure; readonly strays: bigint; readonly locking: RowLocking },
): void {
  parts.writes.send(flush, plan.rows, about.locking);
  sendBooks(flush, parts.books, plan, { partition: about.tenure.partition, strays: about.strays });
  if (plan.rows.length > 0) flush.send(CHECK_DEFERRED);
}

export interface Ending {
  readonly tenure: Tenure;
  readonly work: Extract<Work, { kind: 'steps' }>;
  readonly plans: readonly Plan[];
}

/** Advances the tenure and commits. `flush` may have statements in it that are not answered yet. */
export async function commit(
  parts: StoreParts,
  client: pg.PoolClient,
  flush: Flush,
  { tenure, work, plans }: Ending,
): Promise<Committed> {
  const done: Committed = { plans, tenure: advanced(tenure, plans) };
  sendAdvance(flush, parts.fence.advance, tenure, plans);
  const hook = work.steps.find((step) => step.beforeCommit !== undefined);
  let last = flush;
  if (hook !== undefined) {
    await flush.answers();
    await hook.beforeCommit?.();
    last = new Flush(client);
  }
  parts.unconfirmed.remember(tenure, work, done);
  const at = last.send(COMMIT);
  requireCommitted((await last.answers())[at]);
  parts.unconfirmed.forget(tenure.partition);
  return done;
}

/** The database is ahead of the lane: our own COMMIT, whose answer was lost, or nothing that we can explain. */
export async function recovered(
  parts: StoreParts,
  client: pg.PoolClient,
  tenure: Tenure,
  work: Work,
): Promise<Committed> {
  const committed = parts.unconfirmed.recover(tenure, work);
  if (committed === null) throw unexplained(tenure);
  await rollBack(client);
  parts.unconfirmed.forget(tenure.partition);
  return committed;
}

// Owns one attempt at committing some entries: one transaction, its verdict, and what the next attempt must do differently.
import type { Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Partition, Position } from '../../shared/command/identity.ts';
import { BrokenInvariant } from '../../shared/process/errors.ts';
import { backoffMs } from '../../shared/process/time.ts';
import { classify, ROW_CHANGED, type Verdict } from '../failure/classify.ts';
import type { BatchStep, Committed, Plan, Recall, RowLocking, Tenure } from './batch-store.ts';
import type { LaneGiven } from './lane-given.ts';
import { planBatch, type PlanGiven } from './plan.ts';
import { wantedFor } from './read-batch.ts';
import { NOBODY_WAITS, Tangled, untangledSteps, type Waiting } from './untangle.ts';

export type Attempted =
  | { readonly kind: 'committed'; readonly committed: Committed }
  | { readonly kind: 'refusal'; readonly failure: CommandFailure }
  | { readonly kind: 'too-slow'; readonly failure: CommandFailure };

/** What an attempt works with; the same for all attempts at one batch. */
export interface Work {
  readonly given: LaneGiven;
  readonly partition: Partition;
  readonly lost: AbortSignal;
  readonly refused: ReadonlyMap<Position, CommandFailure>;
  readonly progress: PlanGiven['progress'];
  readonly contention: Contention;
  /** Called once the plan of a transaction stands and its writes are on their way: time to read ahead. */
  readonly planned: () => void;
}

/** Mutable, one per lane: while somebody else writes the same rows, batches lock them at once instead of missing first. */
export interface Contention {
  batchesLeft: number;
}

/** Inside this room only: the lane must end, and why; nothing of the batch in hand was committed, as far as we know. */
export class LaneEnded extends Error {
  readonly reason: { readonly kind: 'lost' | 'went-back' | 'gave-up' | 'halt'; readonly sentence: string };

  constructor(reason: LaneEnded['reason'], cause?: unknown) {
    super(reason.sentence, { cause });
    this.reason = reason;
  }
}

/** Plans again from fresh rows at most this often; then it is an outage, and nothing is parked for it. */
const PLAN_AGAIN_MAX = 20;
/** From this attempt on the tables themselves are locked: scripts insert and delete the same keys faster than we plan. */
const TABLES_FROM_MISS = 5;
/** So many batches after a miss lock their rows from the start. */
const CONTENDED_BATCHES = 64;
/** So often more steps are found that wait for others; then whoever is refused is a culprit. */
const UNTANGLE_MAX = 8;

/** Tries until the transaction is committed or a command stands in its way; waits out outages. Throws LaneEnded. */
export async function attempt(entries: readonly Entry[], tenure: Tenure, work: Work, mode: Mode): Promise<Attempted> {
  const { contention } = work;
  const tries: Tries = {
    again: 0,
    misses: contention.batchesLeft > 0 ? 1 : 0,
    outages: 0,
    tangles: 0,
    waiting: NOBODY_WAITS,
  };
  contention.batchesLeft = Math.max(0, contention.batchesLeft - 1);
  for (;;) {
    const tried = await once(entries, tenure, work, {
      mode,
      waiting: tries.waiting,
      locking: lockingFor(tries.misses),
    });
    switch (tried.kind) {
      case 'committed':
      case 'refusal':
      case 'too-slow':
        return tried;
      case 'bug':
        throw new BrokenInvariant('applying a batch threw', { cause: tried.cause });
      case 'lost':
      case 'went-back':
        throw new LaneEnded({ kind: tried.kind, sentence: tried.cause.message }, tried.cause);
      case 'tangled':
        tries.waiting = ++tries.tangles > UNTANGLE_MAX ? 'never' : tried.waiting;
        break;
      case 'plan-again':
        await planAgain(tries, tried.sqlstate, work);
        break;
      case 'outage':
        await waitOutage(tried.cause, ++tries.outages, work);
        break;
    }
  }
}

type Mode = 'together' | 'singly';
type Tried =
  | { readonly kind: 'committed'; readonly committed: Committed }
  | { readonly kind: 'tangled'; readonly waiting: Waiting }
  | Verdict;

/** Mutable within one call of `attempt`. `misses`: rows that had changed since they were recalled. */
interface Tries {
  again: number;
  misses: number;
  outages: number;
  tangles: number;
  waiting: Waiting;
}

async function once(
  entries: readonly Entry[],
  tenure: Tenure,
  work: Work,
  how: { readonly mode: Mode; readonly waiting: Waiting; readonly locking: RowLocking },
): Promise<Tried> {
  const { store, gate } = work.given;
  // Before a client is borrowed, and until the transaction has ended: whoever waits at the gate holds nothing.
  const handBack = await gate.pass();
  try {
    const committed =
      how.mode === 'together'
        ? await store.transact(tenure, stepFor(entries, work), how.locking)
        : await store.transactEach(
            tenure,
            untangledSteps(entries, how.waiting, (some, refused) =>
              stepFor(some, refused.size === 0 ? work : { ...work, refused: new Map([...work.refused, ...refused]) }),
            ),
            how.locking,
          );
    return { kind: 'committed', committed };
  } catch (thrown) {
    if (thrown instanceof Tangled) return { kind: 'tangled', waiting: thrown.waiting };
    if (thrown instanceof BrokenInvariant || thrown instanceof LaneEnded) throw thrown;
    return classify(thrown, work.given);
  } finally {
    handBack();
  }
}

async function planAgain(tries: Tries, sqlstate: string, work: Work): Promise<void> {
  const { given, partition, lost } = work;
  tries.again++;
  if (sqlstate === ROW_CHANGED) {
    tries.misses++;
    work.contention.batchesLeft = CONTENDED_BATCHES;
  }
  given.observe({ kind: 'batch-planned-again', partition, sqlstate, attempt: tries.again });
  if (tries.again > PLAN_AGAIN_MAX) {
    tries.again = 0;
    await waitOutage(new Error(`planned again ${PLAN_AGAIN_MAX} times because of ${sqlstate}`), ++tries.outages, work);
  } else if (tries.again > 1) {
    await given.clock.sleep(backoffMs(tries.again, given.random, { firstMs: 1, maxMs: 50 }), lost);
  }
}

/** Waits as the policy says; throws LaneEnded when it says halt, or when the lane was taken away meanwhile. */
export async function waitOutage(
  cause: Error,
  nth: number,
  work: Pick<Work, 'given' | 'partition' | 'lost'>,
): Promise<void> {
  const { given, partition, lost } = work;
  const answer = given.policy.onOutage(cause, nth);
  if (answer.kind === 'halt-lane') {
    throw new LaneEnded({ kind: 'halt', sentence: `the policy halts on an outage: ${cause.message}` }, cause);
  }
  given.observe({ kind: 'outage-waited', partition, attempt: nth, ms: answer.ms, cause });
  await given.clock.sleep(answer.ms, lost);
  if (lost.aborted)
    throw new LaneEnded({ kind: 'gave-up', sentence: 'the lane was taken away during an outage' }, cause);
}

/** From the second plan on rows are locked as they are recalled: one miss at most then, instead of hundreds in a row. */
function lockingFor(misses: number): RowLocking {
  if (misses === 0) return 'optimistic';
  return misses < TABLES_FROM_MISS ? 'rows' : 'tables';
}

function stepFor(entries: readonly Entry[], work: Work): BatchStep {
  const { given } = work;
  const plan = (found: Recall, refusal: CommandFailure | null): Plan => {
    const refused = refusal === null ? work.refused : withRefusal(work.refused, entries, refusal);
    const made = planBatch(entries, found, {
      types: given.types,
      policy: given.policy,
      refused,
      progress: work.progress,
    });
    work.planned();
    return made;
  };
  const { reach } = given;
  return {
    wanted: wantedFor(entries, given.types),
    plan: async (found, refusal) => {
      const made = plan(found, refusal);
      work.planned();
      await reach?.('planned', work.partition);
      return made;
    },
    ...(reach === null ? {} : { beforeCommit: () => reach('before-commit', work.partition) }),
  };
}

function withRefusal(
  refused: ReadonlyMap<Position, CommandFailure>,
  entries: readonly Entry[],
  refusal: CommandFailure,
): ReadonlyMap<Position, CommandFailure> {
  return new Map([...refused, ...entries.map((entry) => [entry.delivery.position, refusal] as const)]);
}

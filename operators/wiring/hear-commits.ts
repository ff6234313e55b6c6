// Owns the short way from a lane to who waits in the same process: what a commit decided, without a detour through the database.
import type { BatchStore, Committed, LedgerRow, ParkedRow, Plan } from '../../consumers/lane/batch-store.ts';
import type { Json } from '../../shared/command/identity.ts';
import type { RecordedOutcome } from '../../shared/command/outcome.ts';
import { invariant } from '../../shared/process/errors.ts';

/** Called after each commit. Must not throw. */
export type HearCommit = (commit: HeardCommit) => void;

export interface HeardCommit {
  readonly partition: number;
  /** What this commit decided. Made when asked for: most commits have nobody who waits here. */
  outcomes(): readonly RecordedOutcome[];
  /** `some`: repeats and strays were met too, whose outcomes stand in the database only. */
  readonly others: 'none' | 'some';
}

/** The same store; whoever listens hears what was committed, and cannot keep it from being so. */
export function heardStore(store: BatchStore, hear: HearCommit): BatchStore {
  const heard = (partition: number, committed: Committed): Committed => {
    const { plans } = committed;
    const others = plans.some(({ tally }) => tally.repeated > 0 || tally.strays > 0) ? 'some' : 'none';
    hear({ partition, others, outcomes: () => plans.flatMap(outcomesOf) });
    return committed;
  };
  return {
    claim: (partition, by) => store.claim(partition, by),
    transact: async (tenure, step, locking) => heard(tenure.partition, await store.transact(tenure, step, locking)),
    transactEach: async (tenure, steps, locking) =>
      heard(tenure.partition, await store.transactEach(tenure, steps, locking)),
    mark: (tenure, entry) => store.mark(tenure, entry),
    deaths: (tenure) => store.deaths(tenure),
    release: (tenure) => store.release(tenure),
  };
}

function outcomesOf(plan: Plan): readonly RecordedOutcome[] {
  return [...plan.ledger.map(recordedOf), ...plan.parked.map(parkedOf)];
}

function recordedOf(row: LedgerRow): RecordedOutcome {
  const { id, key, content, revision } = row;
  if (row.outcome === 'applied')
    return { id, key, content, outcome: { kind: 'applied', revision, reply: replyOf(row) } };
  invariant(row.code !== null, 'a rejection has a code');
  return { id, key, content, outcome: { kind: 'rejected', revision, code: row.code, detail: row.detail ?? '' } };
}

function replyOf({ reply }: LedgerRow): Json | null {
  // The lane printed it from a Json.
  return reply === null ? null : (JSON.parse(reply) as Json);
}

function parkedOf({ id, key, content, number, failure }: ParkedRow): RecordedOutcome {
  return { id, key, content, outcome: { kind: 'parked', code: failure.code, detail: failure.detail, number } };
}

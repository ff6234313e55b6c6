// Owns a lane's life: claim, start, then take, apply and settle one batch at a time, and release.
//
//   claiming ──▶ starting ──▶ serving ──▶ released        lost, or nothing more to do: what is in hand is committed first
//      │             │           ├──────▶ tenure-lost     another holder is in, or the database went back in time
//      └─────────────┴───────────┴──────▶ halted          the log is not ours, the policy says so, or a bug: it wants a person
import type { Entry } from '../../shared/command/entry.ts';
import { asError, BrokenInvariant } from '../../shared/process/errors.ts';
import { LogDiverged } from '../../shared/transport/log-diverged.ts';
import type { Lane } from '../../shared/transport/transport.ts';
import { LaneEnded, waitOutage, type Contention, type Work } from './attempt.ts';
import { TenureLost, type Committed, type Plan, type Tally, type Tenure } from './batch-store.ts';
import { applySuspect, isSuspect } from './crash-suspects.ts';
import type { Holder, LaneEnd, LaneGiven } from './lane-given.ts';
import { applyNarrowing } from './narrow.ts';
import { BatchReader, type Batch } from './batch-reader.ts';
import { Settler } from './settler.ts';

/** Runs one yielded lane to its end and gives it back to its subscription. Never rejects. */
export async function runLane(lane: Lane, given: LaneGiven): Promise<LaneEnd> {
  const settler = new Settler(lane, given.observe);
  const run: LaneRun = {
    lane,
    given,
    settler,
    contention: { batchesLeft: 0 },
    holder: { owner: given.newOwner(), epoch: null },
    tenure: null,
  };
  const end = await untilEnd(run);
  if (end.kind === 'tenure-lost' && run.tenure !== null) {
    given.observe({ kind: 'tenure-lost', partition: lane.partition, epoch: run.tenure.epoch, reason: end.reason });
  }
  if (end.kind === 'halted') {
    given.observe({ kind: 'lane-halted', partition: lane.partition, code: end.code, detail: end.detail });
  }
  if (end.kind !== 'tenure-lost') await releaseTenure(run);
  await settler.idle();
  await giveBack(run);
  return end.kind === 'halted' ? { ...end, holder: run.holder } : end;
}

/** How it ended, before anybody asks under which name. */
type Ending = Exclude<LaneEnd, Halted> | Omit<Halted, 'holder'>;
type Halted = Extract<LaneEnd, { readonly kind: 'halted' }>;

interface LaneRun {
  readonly lane: Lane;
  readonly given: LaneGiven;
  readonly settler: Settler;
  readonly contention: Contention;
  /** One name for all tries of its claim: a try whose answer was lost may have been carried out. */
  holder: Holder;
  /** The newest; null until claimed and after release. */
  tenure: Tenure | null;
}

async function untilEnd(run: LaneRun): Promise<Ending> {
  try {
    run.tenure = await claim(run);
    run.holder = { owner: run.tenure.owner, epoch: run.tenure.epoch };
    await startLane(run, run.tenure);
    return await serve(run, run.tenure);
  } catch (thrown) {
    return endOf(asError(thrown));
  }
}

async function claim(run: LaneRun): Promise<Tenure> {
  const { lane, given } = run;
  for (let outages = 1; ; outages++) {
    try {
      const tenure = await given.store.claim(lane.partition, {
        owner: run.holder.owner,
        contractHash: given.contractHash,
      });
      given.observe({ kind: 'lane-claimed', partition: lane.partition, epoch: tenure.epoch, claims: tenure.claims });
      return tenure;
    } catch (thrown) {
      if (thrown instanceof BrokenInvariant || thrown instanceof TenureLost) throw thrown;
      await waitOutage(asError(thrown), outages, { given, partition: lane.partition, lost: lane.lost });
    }
  }
}

async function startLane(run: LaneRun, tenure: Tenure): Promise<void> {
  const { lane, given } = run;
  for (let outages = 1; ; outages++) {
    try {
      return await lane.start({ ...tenure.resume, epoch: tenure.epoch });
    } catch (thrown) {
      if (thrown instanceof LogDiverged) throw thrown;
      await waitOutage(asError(thrown), outages, { given, partition: lane.partition, lost: lane.lost });
    }
  }
}

async function serve(run: LaneRun, claimed: Tenure): Promise<Ending> {
  const { lane, given } = run;
  const reader = new BatchReader(lane, given);
  let suspects = isSuspect(claimed) ? given.limits.batchCountMax : 0;
  try {
    while (!lane.lost.aborted) {
      const batch = await reader.take(suspects > 0 ? 1 : given.limits.batchCountMax);
      if (batch.entries.length > 0) {
        await given.reach?.('taken', lane.partition);
        const halt = await applyBatch(run, batch, { singly: suspects > 0, planned: () => reader.readAhead() });
        if (halt !== null) return halt;
        suspects = Math.max(0, suspects - batch.entries.length);
      } else {
        // Whatever killed holders stood in the log then: nothing of that is left.
        suspects = 0;
      }
    }
    return { kind: 'released' };
  } finally {
    reader.stop();
  }
}

interface How {
  /** The batch is one entry under suspicion. */
  readonly singly: boolean;
  readonly planned: () => void;
}

/** Everything in `batch` is committed when this resolves with null; with an end, what stood before the blocker. */
async function applyBatch(run: LaneRun, batch: Batch, how: How): Promise<Ending | null> {
  const { given, lane } = run;
  const startedMs = given.clock.monotonicMs();
  const tenure = mustHold(run);
  const work: Work = {
    given,
    partition: lane.partition,
    lost: lane.lost,
    refused: new Map(),
    progress: how.singly ? 'no' : 'yes',
    contention: run.contention,
    planned: how.planned,
  };
  let halt: Ending | null = null;
  const onCommitted = async (entries: readonly Entry[], committed: Committed): Promise<void> => {
    run.tenure = committed.tenure;
    const cut = how.singly || entries.length < batch.entries.length ? 'single' : batch.cut;
    report(run, committed, { cut, ms: given.clock.monotonicMs() - startedMs });
    await given.reach?.('committed', lane.partition);
    halt = haltOf(committed.plans) ?? halt;
    await given.reach?.('before-settle', lane.partition);
    const through = lastThrough(committed.plans);
    if (through !== null) run.settler.settle(through.position, committed.tenure.commits);
  };
  const [first] = batch.entries;
  run.tenure =
    how.singly && first !== undefined
      ? await applySuspect(first, tenure, work, onCommitted)
      : await applyNarrowing(batch.entries, tenure, work, onCommitted);
  return halt;
}

function report(
  run: LaneRun,
  committed: Committed,
  about: { readonly cut: 'size' | 'linger' | 'single'; readonly ms: number },
): void {
  const { observe } = run.given;
  const { partition } = run.lane;
  for (const plan of committed.plans) {
    for (const { id, key, failure } of plan.parked) {
      observe({ kind: 'command-parked', partition, id, resource: key, code: failure.code });
    }
    for (const { reason } of plan.strays) observe({ kind: 'stray-kept', partition, reason });
  }
  const through = lastThrough(committed.plans);
  if (through === null) return;
  observe({
    kind: 'batch-applied',
    partition,
    ...sumOf(committed.plans.map((plan) => plan.tally)),
    ms: about.ms,
    cut: about.cut,
    appendedAt: through.appendedAt,
    through: through.position,
    commits: committed.tenure.commits,
  });
}

function sumOf(tallies: readonly Tally[]): Tally {
  const [only] = tallies;
  if (tallies.length === 1 && only !== undefined) return only;
  const sum = (field: keyof Tally): number => tallies.reduce((total, tally) => total + tally[field], 0);
  return {
    entries: sum('entries'),
    applied: sum('applied'),
    rejected: sum('rejected'),
    repeated: sum('repeated'),
    parked: sum('parked'),
    strays: sum('strays'),
  };
}

function lastThrough(plans: readonly Plan[]): Plan['through'] {
  return plans.findLast((plan) => plan.through !== null)?.through ?? null;
}

function haltOf(plans: readonly Plan[]): Ending | null {
  const halt = plans.find((plan) => plan.halt !== null)?.halt ?? null;
  return halt === null
    ? null
    : { kind: 'halted', code: halt.failure.code, detail: `at position ${halt.position}: ${halt.failure.detail}` };
}

function mustHold(run: LaneRun): Tenure {
  if (run.tenure === null) throw new BrokenInvariant('a lane serves only while it holds its tenure');
  return run.tenure;
}

async function releaseTenure(run: LaneRun): Promise<void> {
  const { tenure, given, lane } = run;
  if (tenure === null) return;
  run.tenure = null;
  try {
    await given.store.release(tenure);
    given.observe({ kind: 'lane-released', partition: lane.partition, epoch: tenure.epoch });
  } catch (thrown) {
    // The next claim does without it: releasing only spares the successor a count.
    const reason = `it could not be released: ${asError(thrown).message}`;
    given.observe({ kind: 'tenure-lost', partition: lane.partition, epoch: tenure.epoch, reason });
  }
}

/** A transport that cannot take its lane back has lost the broker: its subscription tells that by itself. */
async function giveBack({ lane, given }: LaneRun): Promise<void> {
  try {
    await lane.release();
  } catch (thrown) {
    given.observe({ kind: 'connection-lost', what: `lane ${lane.partition}`, cause: asError(thrown) });
  }
}

function endOf(error: Error): Ending {
  if (error instanceof LaneEnded) {
    const { kind, sentence } = error.reason;
    switch (kind) {
      case 'lost':
      case 'went-back':
        return { kind: 'tenure-lost', reason: sentence };
      case 'gave-up':
        return { kind: 'released' };
      case 'halt':
        return { kind: 'halted', code: 'outage', detail: sentence };
    }
  }
  if (error instanceof TenureLost) return { kind: 'tenure-lost', reason: error.message };
  if (error instanceof LogDiverged) return { kind: 'halted', code: error.code, detail: error.message };
  return { kind: 'halted', code: 'broken-invariant', detail: `${error.name}: ${error.message}` };
}

// Owns a batch store over Maps: the seam's promises and nothing else, with points at which a simulation may strike.
import {
  DatabaseWentBack,
  TenureLost,
  type BatchStep,
  type BatchStore,
  type Committed,
  type Plan,
  type Recall,
  type Tenure,
  type Wanted,
} from '../../../consumers/lane/batch-store.ts';
import { classify } from '../../../consumers/failure/classify.ts';
import type { CommandFailure } from '../../../shared/command/failure.ts';
import { epoch, resourceKey, type EntryHash, type Partition } from '../../../shared/command/identity.ts';
import type { AnyResourceType, ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { StoredRow } from '../../../shared/resources/row-store.ts';
import { applyPlan, EMPTY_TRUTH, knownIds, type MemoryRow, type MemoryTruth } from './memory-database.ts';

/** What the server says when it will not take a row, in the form that pg gives it. */
export class RefusedByDatabase extends Error {
  readonly code = '23514';
  readonly severity = 'ERROR';
}

/** Called before and after each commit; what it throws is what the lane sees, and only `after` finds the commit done. */
export interface StrikePoints {
  beforeCommit(plans: readonly Plan[]): Promise<void> | void;
  afterCommit(plans: readonly Plan[]): Promise<void> | void;
  /** Would this database refuse what the plan writes? */
  refuses(plan: Plan): boolean;
}

export const noStrike: StrikePoints = {
  beforeCommit: () => undefined,
  afterCommit: () => undefined,
  refuses: () => false,
};

/** One partition's database; survives every lane. */
export class MemoryDatabase {
  truth: MemoryTruth = EMPTY_TRUTH;
  readonly types: ResourceTypes;

  constructor(types: ResourceTypes) {
    this.types = types;
  }
}

/** `skipped` is for tests of the tests: what a store without a fence would do. */
export type Fence = 'kept' | 'skipped';

export function memoryBatchStore(
  database: MemoryDatabase,
  strike: StrikePoints = noStrike,
  fence: Fence = 'kept',
): BatchStore {
  /** The name under which this store, one process's, held the tenure last. */
  let ownName: string | null = null;
  const checkFence = fence === 'kept' ? compareFence : () => undefined;
  const transactEach = async (tenure: Tenure, steps: readonly BatchStep[]): Promise<Committed> => {
    checkFence(database.truth, tenure);
    let working = database.truth;
    const plans: Plan[] = [];
    for (const step of steps) {
      const done = await runStep(working, step, { among: steps.length > 1, strike, types: database.types });
      working = done.truth;
      plans.push(done.plan);
    }
    for (const step of steps) await step.beforeCommit?.();
    await strike.beforeCommit(plans);
    // Others may have committed while we planned: a real fence would have made them wait.
    checkFence(database.truth, tenure);
    if (fence === 'skipped') working = plans.reduce(applyPlan, database.truth);
    const { epoch: risen, owner, commits } = database.truth.tenure;
    database.truth = { ...working, tenure: { ...working.tenure, epoch: risen, owner, commits: commits + 1n } };
    await strike.afterCommit(plans);
    return { plans, tenure: tenureOf(database.truth, tenure.partition) };
  };
  return {
    claim: (partition, by) => {
      const claimed = claim(database, partition, { owner: by.owner, before: ownName });
      ownName = by.owner;
      return Promise.resolve(claimed);
    },
    transact: (tenure, step) => transactEach(tenure, [step]),
    transactEach,
    mark: async (tenure, entry) => {
      checkFence(database.truth, tenure);
      return Promise.resolve(mark(database, tenure, entry));
    },
    deaths: () => Promise.resolve(database.truth.tenure.marker?.deaths ?? 0),
    release: async (tenure) => {
      checkFence(database.truth, tenure);
      return Promise.resolve(release(database));
    },
  };
}

function claim(
  database: MemoryDatabase,
  partition: Partition,
  { owner, before }: { readonly owner: string; readonly before: string | null },
): Tenure {
  const { tenure } = database.truth;
  const died = tenure.owner === null || tenure.owner === before ? 0 : 1;
  const marker = tenure.marker === null ? null : { ...tenure.marker, deaths: tenure.marker.deaths + died };
  const claimed = { ...tenure, epoch: tenure.epoch + 1n, owner, claims: tenure.claims + 1, marker };
  database.truth = { ...database.truth, tenure: claimed };
  return tenureOf(database.truth, partition);
}

function mark(database: MemoryDatabase, tenure: Tenure, entry: EntryHash): Tenure {
  const stands = database.truth.tenure;
  const marker = stands.marker?.entry === entry ? stands.marker : { entry, deaths: 0 };
  database.truth = { ...database.truth, tenure: { ...stands, marker, commits: stands.commits + 1n } };
  return tenureOf(database.truth, tenure.partition);
}

function release(database: MemoryDatabase): void {
  const { tenure } = database.truth;
  const claims = Math.max(0, tenure.claims - 1);
  database.truth = { ...database.truth, tenure: { ...tenure, owner: null, claims } };
}

function compareFence(truth: MemoryTruth, tenure: Tenure): void {
  const stands = truth.tenure;
  if (stands.epoch !== tenure.epoch || stands.owner !== tenure.owner)
    throw new TenureLost('another holder is in: stop this lane');
  if (stands.commits !== tenure.commits) throw new DatabaseWentBack('the commit count differs: claim anew');
}

/** A refused step among several is planned once more with its refusal, as under a savepoint. */
async function runStep(
  truth: MemoryTruth,
  step: BatchStep,
  { among, strike, types }: { readonly among: boolean; readonly strike: StrikePoints; readonly types: ResourceTypes },
): Promise<{ truth: MemoryTruth; plan: Plan }> {
  const found = recall(truth, step.wanted, types);
  const attempt = async (refusal: CommandFailure | null) => {
    const plan = await step.plan(found, refusal);
    if (strike.refuses(plan)) throw new RefusedByDatabase('new row violates a check');
    return { truth: applyPlan(truth, plan), plan };
  };
  try {
    return await attempt(null);
  } catch (thrown) {
    const verdict = classify(thrown, { schema: 'onelane' });
    if (!among || verdict.kind !== 'refusal') throw thrown;
    return attempt(verdict.failure);
  }
}

/** Exactly what is wanted: a plan that needs more was not told of it. */
function recall(truth: MemoryTruth, wanted: Wanted, types: ResourceTypes): Recall {
  const rows = new Map<Parameters<typeof truth.rows.get>[0], StoredRow>();
  for (const [type, subjects] of wanted.subjects) {
    for (const subject of subjects) {
      const row = truth.rows.get(resourceKey(type, subject));
      if (row !== undefined) rows.set(resourceKey(type, subject), recalled(row, types.get(type)));
    }
  }
  const hashes = new Set(wanted.entries.map((entry) => entry.hash));
  const ids = new Set<string | null>(wanted.ids);
  return {
    known: knownIds(truth, wanted.ids),
    rows,
    lastRevisions: new Map([...truth.lastRevisions].filter(([key]) => wanted.keys.includes(key))),
    holds: new Map(
      [...truth.parked]
        .filter(([key]) => wanted.keys.includes(key))
        .map(([key, rowsOfKey]) => [key, { nextNumber: rowsOfKey.length + 1 }]),
    ),
    strays: new Set(
      truth.strays.filter((stray) => hashes.has(stray.hash) || ids.has(stray.id)).map((stray) => stray.hash),
    ),
  };
}

function recalled(row: MemoryRow, type: AnyResourceType | undefined): StoredRow {
  const { values, revision, version } = row;
  return {
    revision,
    version,
    get state() {
      return type?.rows.decode(values);
    },
  };
}

function tenureOf(truth: MemoryTruth, partition: Partition): Tenure {
  const { tenure } = truth;
  return {
    partition,
    epoch: epoch(tenure.epoch),
    owner: (tenure.owner ?? '') as Tenure['owner'], // a claim has set it
    commits: tenure.commits,
    resume: { next: tenure.next, last: tenure.last, commits: tenure.commits },
    claims: tenure.claims,
    marker: tenure.marker,
  };
}

// Owns the search for the command that the database refuses: halve until it stands alone, park it, go on with the rest.
import type { Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Position } from '../../shared/command/identity.ts';
import { invariant } from '../../shared/process/errors.ts';
import { attempt, type Work } from './attempt.ts';
import type { Committed, Tenure } from './batch-store.ts';
import { mayWait } from './untangle.ts';

/** Called after each commit, in order; `entries` are the ones that it covers. */
export type OnCommitted = (entries: readonly Entry[], committed: Committed) => Promise<void>;

/** How often a lone command may run into the statement timeout, while the database answers, before that counts as a refusal. */
const LONE_TIMEOUTS_MAX = 3;

/**
 * Applies `entries` in order, whatever it takes: together while nothing is refused, then halving towards the first culprit, and from the
 * second culprit on singly under savepoints in one transaction; at once when the first may only wait for what follows it. Each culprit is
 * parked; nothing else is. Throws LaneEnded.
 * Returns the tenure after the last commit, earlier when a plan halted the lane.
 */
export async function applyNarrowing(
  entries: readonly Entry[],
  tenure: Tenure,
  work: Work,
  onCommitted: OnCommitted,
): Promise<Tenure> {
  const search: Search = {
    rest: entries,
    suspects: 0,
    culprits: 0,
    refused: new Map(work.refused),
    timeouts: 0,
    isTangled: false,
    singlyMax: entries.length,
  };
  let held = tenure;
  while (search.rest.length > 0) {
    const mode = modeOf(search);
    const head = search.rest.slice(0, mode === 'singly' ? search.singlyMax : headLength(search));
    const tried = await attempt(head, held, { ...work, refused: search.refused }, mode);
    switch (tried.kind) {
      case 'committed':
        held = tried.committed.tenure;
        await onCommitted(head, tried.committed);
        if (tried.committed.plans.some((plan) => plan.halt !== null)) return held;
        search.rest = search.rest.slice(head.length);
        search.suspects = Math.max(0, search.suspects - head.length);
        search.timeouts = 0;
        search.isTangled = false;
        break;
      case 'refusal':
        work.given.observe({
          kind: 'batch-narrowed',
          partition: work.partition,
          entries: head.length,
          sqlstate: tried.failure.sqlstate ?? '',
        });
        suspect(search, head, tried.failure);
        break;
      case 'too-slow':
        await suspectSlow(search, head, tried.failure, work);
        break;
    }
  }
  return held;
}

/** Mutable within one search only. `suspects`: so many entries at the head of `rest` are known to hold a culprit. */
interface Search {
  rest: readonly Entry[];
  suspects: number;
  culprits: number;
  readonly refused: Map<Position, CommandFailure>;
  timeouts: number;
  /** The head was refused alone for what other rows say: those may follow it in `rest`. */
  isTangled: boolean;
  /** So many steps in one transaction of single steps; fewer after a timeout. */
  singlyMax: number;
}

function modeOf({ rest, suspects, culprits, isTangled, singlyMax }: Search): 'together' | 'singly' {
  const isSingly = isTangled ? rest.length > 1 : culprits > 0 && suspects > 1;
  return isSingly && singlyMax > 1 ? 'singly' : 'together';
}

function headLength(search: Search): number {
  if (search.suspects === 0) return search.rest.length;
  return Math.max(1, Math.floor(search.suspects / 2));
}

function suspect(search: Search, head: readonly Entry[], failure: CommandFailure): void {
  search.suspects = head.length;
  const [lone] = head;
  if (head.length > 1 || lone === undefined) return;
  invariant(
    !search.refused.has(lone.delivery.position),
    'a parked command writes nothing that a database could refuse',
  );
  if (mayWait(failure) && search.rest.length > 1 && search.singlyMax > 1) {
    search.isTangled = true;
    return;
  }
  search.refused.set(lone.delivery.position, failure);
  search.culprits++;
}

/** Fewer at once; a lone one that times out again and again, while `select 1` answers, is a culprit. */
async function suspectSlow(
  search: Search,
  head: readonly Entry[],
  failure: CommandFailure,
  work: Pick<Work, 'given'>,
): Promise<void> {
  if (head.length > 1) {
    search.suspects = head.length;
    search.singlyMax = Math.max(1, Math.floor(head.length / 2));
    return;
  }
  search.suspects = 1;
  if (!(await work.given.databaseAnswers())) return;
  search.timeouts++;
  if (search.timeouts < LONE_TIMEOUTS_MAX) return;
  search.timeouts = 0;
  suspect(search, head, failure);
}

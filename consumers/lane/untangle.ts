// Owns single steps that wait: a row which the database takes only after, or together with, what other commands of the batch write.
//
// A step that is refused for what another row says (a foreign key, a unique or an exclusion constraint) is not parked: the transaction is
// taken back, and tried again with that step, and what follows it in its resource, behind all others. What waits is tried there alone, all
// together, and in smaller sets; only what no attempt could place is parked. Order within a resource stays that of the log.
import { entryHash, type Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Position, ResourceKey } from '../../shared/command/identity.ts';
import type { BatchStep, Plan, Recall } from './batch-store.ts';
import { waitingSets } from './waiting-sets.ts';

/** Foreign key, unique, exclusion: what they say of a row hangs on other rows. */
const HANGS_ON_OTHERS: ReadonlySet<string> = new Set(['23503', '23505', '23P01']);

export function mayWait(failure: CommandFailure): boolean {
  return HANGS_ON_OTHERS.has(failure.sqlstate ?? '');
}

/** Which entries wait for others; `never`: none may, whoever is refused is a culprit. */
export type Waiting = ReadonlySet<Position> | 'never';

/** Inside this room only: nothing of the transaction may be committed; try again like that. */
export class Tangled extends Error {
  readonly waiting: Waiting;

  constructor(waiting: Waiting) {
    super('some steps wait for others');
    this.waiting = waiting;
  }
}

/** A step that plans these entries as one; `refused`: parked for these reasons. */
export type StepMaker = (entries: readonly Entry[], refused: ReadonlyMap<Position, CommandFailure>) => BatchStep;

/** One step for each entry that does not wait, and behind them as many as it takes for those that do. Throws Tangled before COMMIT when more must wait. */
export function untangledSteps(entries: readonly Entry[], waiting: Waiting, stepFor: StepMaker): readonly BatchStep[] {
  if (waiting === 'never') return entries.map((entry) => stepFor([entry], NONE));
  const tangle = new Tangle(entries, waiting, stepFor);
  const steps = [...tangle.singles(), ...tangle.tail()];
  const [first, ...others] = steps;
  return first === undefined ? [] : [{ ...first, beforeCommit: () => tangle.beforeCommit(first) }, ...others];
}

const NONE: ReadonlyMap<Position, CommandFailure> = new Map();

/** Mutable within one transaction. A step may be planned more than once: the last time counts. */
class Tangle {
  readonly #entries: readonly Entry[];
  readonly #known: ReadonlySet<Position>;
  readonly #stepFor: StepMaker;
  /** Those that wait, in the order of the log, and what follows them in their resources. */
  readonly #tail: readonly Entry[];
  /** Of those, the one before it in its resource. */
  readonly #before = new Map<Entry, Entry>();
  /** Found in this transaction. */
  readonly #fresh = new Set<Position>();
  readonly #freshKeys = new Map<ResourceKey, Position>();
  readonly #done = new Set<Position>();
  readonly #failures = new Map<Position, CommandFailure>();

  constructor(entries: readonly Entry[], known: ReadonlySet<Position>, stepFor: StepMaker) {
    this.#entries = entries;
    this.#known = known;
    this.#stepFor = stepFor;
    const last = new Map<ResourceKey, Entry>();
    this.#tail = entries.filter((entry) => {
      const key = keyOf(entry);
      if (key === null) return false;
      const before = last.get(key);
      if (before === undefined && !known.has(entry.delivery.position)) return false;
      if (before !== undefined) this.#before.set(entry, before);
      last.set(key, entry);
      return true;
    });
  }

  singles(): readonly BatchStep[] {
    const tail = new Set(this.#tail);
    return this.#entries.filter((entry) => !tail.has(entry)).map((entry) => this.#single(entry));
  }

  /** Empty when nothing waits. The last step parks what is left, and has read the whole. */
  tail(): readonly BatchStep[] {
    if (this.#tail.length === 0) return [];
    const sets = waitingSets(this.#tail.length).map((places) => places.flatMap((at) => this.#tail[at] ?? []));
    return [...sets.map((set) => this.#trial(set)), this.#last()];
  }

  beforeCommit(first: BatchStep): Promise<void> | undefined {
    if (this.#fresh.size > 0) throw new Tangled(new Set([...this.#known, ...this.#fresh]));
    return first.beforeCommit?.();
  }

  #single(entry: Entry): BatchStep {
    const step = this.#stepFor([entry], NONE);
    const plan: BatchStep['plan'] = async (found, refusal) => {
      const waits = refusal === null ? this.#follows(entry) : mayWait(refusal);
      this.#note(entry, waits);
      return waits ? NOTHING : this.#read(await step.plan(found, refusal));
    };
    return { ...step, plan };
  }

  #follows(entry: Entry): boolean {
    const key = keyOf(entry);
    const first = key === null ? undefined : this.#freshKeys.get(key);
    return first !== undefined && first < entry.delivery.position;
  }

  #note(entry: Entry, waits: boolean): void {
    const { position } = entry.delivery;
    const key = keyOf(entry);
    if (waits) {
      this.#fresh.add(position);
      if (key !== null && !this.#freshKeys.has(key)) this.#freshKeys.set(key, position);
    } else if (this.#fresh.delete(position) && key !== null && this.#freshKeys.get(key) === position) {
      this.#freshKeys.delete(key);
    }
  }

  /** Of a set, what still waits and has nothing of its own resource waiting before it outside of the set. */
  #trial(set: readonly Entry[]): BatchStep {
    let tried: readonly Entry[] = [];
    const plan = async (found: Recall, refusal: CommandFailure | null): Promise<Plan> => {
      for (const { delivery } of tried) this.#done.delete(delivery.position);
      if (refusal !== null) {
        const [lone] = set;
        if (set.length === 1 && lone !== undefined) this.#failures.set(lone.delivery.position, refusal);
        tried = [];
        return NOTHING;
      }
      tried = this.#ready(set);
      if (tried.length === 0) return NOTHING;
      for (const { delivery } of tried) this.#done.add(delivery.position);
      return this.#read(await this.#stepFor(tried, NONE).plan(found, null));
    };
    return { wanted: this.#stepFor(set, NONE).wanted, plan };
  }

  #last(): BatchStep {
    const plan: BatchStep['plan'] = async (found) => {
      const left = this.#tail.filter((entry) => !this.#done.has(entry.delivery.position));
      const made = await this.#stepFor(left, this.#failures).plan(found, null);
      if (made.halt !== null) throw new Tangled('never');
      return { ...made, through: throughOf(this.#entries) };
    };
    return { wanted: this.#stepFor(this.#tail, NONE).wanted, plan };
  }

  /** While something waits, only the last step may say how far was read; and nothing may halt before what waits was tried. */
  #read(plan: Plan): Plan {
    if (this.#tail.length === 0) return plan;
    if (plan.halt !== null) throw new Tangled('never');
    return { ...plan, through: null };
  }

  #ready(set: readonly Entry[]): readonly Entry[] {
    const ready = new Set<Entry>();
    for (const entry of set) {
      const before = this.#before.get(entry);
      const isFree = before === undefined || ready.has(before) || this.#done.has(before.delivery.position);
      if (isFree && !this.#done.has(entry.delivery.position)) ready.add(entry);
    }
    return [...ready];
  }
}

const keyOf = ({ body }: Entry): ResourceKey | null => (body.kind === 'stray' ? null : body.key);

const NOTHING: Plan = {
  rows: [],
  ledger: [],
  parked: [],
  strays: [],
  through: null,
  tally: { entries: 0, applied: 0, rejected: 0, repeated: 0, parked: 0, strays: 0 },
  halt: null,
  progress: 'yes',
};

function throughOf(entries: readonly Entry[]): Plan['through'] {
  const delivery = entries.at(-1)?.delivery;
  if (delivery === undefined) return null;
  return { position: delivery.position, hash: entryHash(delivery), appendedAt: delivery.appendedAt };
}

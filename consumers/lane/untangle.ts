// Owns single steps that wait: a row which the database takes only after, or together with, what other commands of the batch write.
//
// A step that is refused for what another row says (a foreign key, a unique or an exclusion constraint) is not parked: the transaction is
// taken back, and tried again with that step, and what must stay behind it, behind all others: a chain. Chains are tried alone, all
// together, and in smaller sets, first whole and then by their next entries; then each is placed as far as it goes. Only what no attempt
// could place is parked. Order within a resource, and between two commands of the same id, stays that of the log.
import { entryHash, type Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { Position } from '../../shared/command/identity.ts';
import type { BatchStep, Plan, Recall } from './batch-store.ts';
import { chainsOf, namesOf, type Chain, type Placed } from './waiting-chains.ts';
import { halvingsOf, waitingSets } from './waiting-sets.ts';

/** Foreign key, unique, exclusion: what they say of a row hangs on other rows. */
const HANGS_ON_OTHERS: ReadonlySet<string> = new Set(['23503', '23505', '23P01']);

export function mayWait(failure: CommandFailure): boolean {
  return HANGS_ON_OTHERS.has(failure.sqlstate ?? '');
}

/** `never`: none may wait, whoever is refused is a culprit. */
export type Waiting = Waits | 'never';

/** Which entries wait for others, and before which one the lane will halt, if it will. */
interface Waits {
  readonly positions: ReadonlySet<Position>;
  readonly halt: Plan['halt'];
}

export const NOBODY_WAITS: Waiting = { positions: new Set(), halt: null };

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
  const steps = [...tangle.singles(), ...tangle.tail(), ...tangle.halting()];
  const [first, ...others] = steps;
  return first === undefined ? [] : [{ ...first, beforeCommit: () => tangle.beforeCommit(first) }, ...others];
}

/** So often chains are tried by their next entries. */
const ROUNDS_MAX = 3;
const NONE: ReadonlyMap<Position, CommandFailure> = new Map();

/** Mutable within one transaction. A step may be planned more than once: the last time counts. */
class Tangle {
  /** With a halt, those before it: nothing that stands behind it may be written, and what waits must do without. */
  readonly #entries: readonly Entry[];
  readonly #halting: Entry | undefined;
  readonly #waiting: Waits;
  readonly #stepFor: StepMaker;
  readonly #chains: readonly Chain[];
  /** Found in this transaction, and what they name. */
  readonly #fresh = new Set<Position>();
  readonly #freshNames = new Map<string, Position>();

  constructor(entries: readonly Entry[], waiting: Waits, stepFor: StepMaker) {
    const haltsAt = entries.findIndex(({ delivery }) => delivery.position === waiting.halt?.position);
    this.#halting = entries[haltsAt];
    this.#entries = haltsAt < 0 ? entries : entries.slice(0, haltsAt);
    this.#waiting = waiting;
    this.#stepFor = stepFor;
    this.#chains = chainsOf(this.#entries, waiting.positions);
  }

  singles(): readonly BatchStep[] {
    const chained = new Set(this.#chains.flatMap((chain) => chain.entries));
    return this.#entries.filter((entry) => !chained.has(entry)).map((entry) => this.#single(entry));
  }

  /** Empty when nothing waits. The last step has read the whole. */
  tail(): readonly BatchStep[] {
    const chains = this.#chains;
    if (chains.length === 0) return [];
    const sets = waitingSets(chains.length).map((places) => places.flatMap((at) => chains[at] ?? []));
    // What one round places, another one of the same resources may have waited for.
    const rounds = Math.min(ROUNDS_MAX, Math.max(...chains.map((chain) => chain.entries.length)) - 1);
    return [
      ...sets.map((set) => this.#trial(set, wholeOf)),
      ...Array.from({ length: rounds }, () => sets.map((set) => this.#trial(set, nextOf))).flat(),
      // Twice: what one chain could place at last may be what another one waited for.
      ...this.#searches(),
      ...this.#searches(),
      ...chains.map((chain) => this.#rest(chain)),
      this.#readThrough(),
    ];
  }

  /** The step that halts the lane, as it did when it was found. */
  halting(): readonly BatchStep[] {
    const { halt } = this.#waiting;
    if (halt === null || this.#halting === undefined) return [];
    const step = this.#stepFor([this.#halting], new Map([[halt.position, halt.failure]]));
    const plan: BatchStep['plan'] = async (found) => {
      const made = await step.plan(found, null);
      // What stands before it was placed in another way, so that it does not fail any more: what follows it must not be left out.
      if (made.halt === null) throw new Tangled('never');
      return made;
    };
    return [{ ...step, plan }];
  }

  beforeCommit(first: BatchStep): Promise<void> | undefined {
    const { positions, halt } = this.#waiting;
    if (this.#fresh.size > 0) throw new Tangled({ positions: new Set([...positions, ...this.#fresh]), halt });
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
    return namesOf(entry).some((name) => {
      const first = this.#freshNames.get(name);
      return first !== undefined && first < entry.delivery.position;
    });
  }

  #note(entry: Entry, waits: boolean): void {
    const { position } = entry.delivery;
    const names = namesOf(entry);
    if (waits) {
      this.#fresh.add(position);
      for (const name of names) if (!this.#freshNames.has(name)) this.#freshNames.set(name, position);
    } else if (this.#fresh.delete(position)) {
      for (const name of names) if (this.#freshNames.get(name) === position) this.#freshNames.delete(name);
    }
  }

  /** Places of each chain what `part` says, all of it or nothing. */
  #trial(set: readonly Chain[], part: (chain: Chain) => number): BatchStep {
    const entries = set.flatMap((chain) => chain.entries);
    return this.#placing(set, entries, (refusal) => {
      if (refusal !== null) return [];
      return set.flatMap((chain) => placeUpTo(chain, part(chain)));
    });
  }

  /** How far each chain can be placed, by halving; side by side, so that chains of one kind can be tried in one go. */
  #searches(): readonly BatchStep[] {
    const rounds = Math.max(...this.#chains.map((chain) => halvingsOf(chain.entries.length)));
    return Array.from({ length: rounds }, (_, round) =>
      this.#chains
        .filter((chain) => round < halvingsOf(chain.entries.length))
        .map((chain) => this.#search(chain, round === 0)),
    ).flat();
  }

  #search(chain: Chain, isFirst: boolean): BatchStep {
    return this.#placing([chain], chain.entries, (failure) => {
      const { done, most } = isFirst ? { ...chain.placed, most: chain.entries.length } : chain.placed;
      const half = done + Math.ceil((most - done) / 2);
      chain.placed = failure === null ? { ...chain.placed, most } : { done, most: half - 1, failure };
      return failure === null ? placeUpTo(chain, half) : [];
    });
  }

  /** What is left of a chain: the entry that was refused is parked, with what it holds. */
  #rest(chain: Chain): BatchStep {
    const plan: BatchStep['plan'] = async (found, refusal) => {
      const { done, failure } = chain.placed;
      const left = chain.entries.slice(done);
      const [first] = left;
      if (first === undefined) return NOTHING;
      // With a refusal of its own (an id that two resources share makes one chain of them): nothing of it is written, each told its reason.
      const others = refusal === null ? [] : left.map((entry) => [entry.delivery.position, refusal] as const);
      const refused = new Map([...others, ...(failure === null ? [] : [[first.delivery.position, failure] as const])]);
      return this.#read(await this.#stepFor(left, refused).plan(found, null));
    };
    return { wanted: this.#stepFor(chain.entries, NONE).wanted, plan };
  }

  #readThrough(): BatchStep {
    const step = this.#stepFor([], NONE);
    const through = throughOf(this.#entries);
    return { wanted: step.wanted, plan: async (found, refusal) => ({ ...(await step.plan(found, refusal)), through }) };
  }

  /** `place` moves the chains on and names what is to be applied; it is called with the chains as they were before this step. */
  #placing(
    set: readonly Chain[],
    entries: readonly Entry[],
    place: (refusal: CommandFailure | null) => readonly Entry[],
  ): BatchStep {
    let before: ReadonlyMap<Chain, Placed> | null = null;
    const plan = async (found: Recall, refusal: CommandFailure | null): Promise<Plan> => {
      before ??= new Map(set.map((chain) => [chain, chain.placed]));
      for (const [chain, placed] of before) chain.placed = placed;
      const placed = place(refusal);
      return placed.length === 0 ? NOTHING : this.#read(await this.#stepFor(placed, NONE).plan(found, null));
    };
    return { wanted: this.#stepFor(entries, NONE).wanted, plan };
  }

  /** While something waits, only the last step may say how far was read; and a lane that halts commits only what stands before that. */
  #read(plan: Plan): Plan {
    if (this.#chains.length === 0) return plan;
    const { positions } = this.#waiting;
    if (plan.halt !== null) throw new Tangled({ positions, halt: plan.halt });
    return { ...plan, through: null };
  }
}

const wholeOf = (chain: Chain): number => chain.entries.length;
const nextOf = (chain: Chain): number => Math.min(chain.placed.done + 1, chain.entries.length);

function placeUpTo(chain: Chain, end: number): readonly Entry[] {
  const { done } = chain.placed;
  chain.placed = { ...chain.placed, done: Math.max(done, end) };
  return chain.entries.slice(done, end);
}

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

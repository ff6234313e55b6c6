// Owns the rule by which consumers share partitions. Pure: what every consumer computes for itself from the same table.
import type { Partition, Uuid } from '../../shared/command/identity.ts';

export interface ShareState {
  /** Consumers that are there: joined, and not expired. */
  readonly consumers: readonly Uuid[];
  readonly leases: readonly LeaseView[];
}

export interface LeaseView {
  readonly partition: Partition;
  /** null: free, or expired. May be somebody who is no consumer any more and still drains. */
  readonly holder: Uuid | null;
}

export interface ShareActions {
  readonly take: readonly Partition[];
  readonly giveBack: readonly Partition[];
}

/**
 * What `me` should do now. `leaving`: those of mine that are being given back already; they are counted until their rows are free.
 *
 * Consumers act on views that may be a moment old; the writes that follow are conditional on the row being free, or mine. Nobody
 * ever takes beyond its share or gives up below it, so every step moves towards the fair state, and in the fair state nobody moves.
 */
export function fairShare(state: ShareState, me: Uuid, leaving: ReadonlySet<Partition>): ShareActions {
  const targets = shares(state);
  const mine = state.leases.filter((lease) => lease.holder === me).map((lease) => lease.partition);
  const target = targets.get(me);
  if (target === undefined) return { take: [], giveBack: mine.toSorted(byNumber) };
  return { take: portionOf(me, targets, state), giveBack: surplusOf(mine, mine.length - target, leaving) };
}

/**
 * How many partitions each consumer should hold: all the same, but for one more where it does not come out even. Those go to the
 * lowest ids, which are the oldest consumers. Membership alone decides, so that views which differ in who holds what still agree.
 */
function shares(state: ShareState): ReadonlyMap<Uuid, number> {
  const ranked = [...new Set(state.consumers)].sort();
  const floor = Math.floor(state.leases.length / Math.max(1, ranked.length));
  const odd = state.leases.length - floor * ranked.length;
  return new Map(ranked.map((consumer, rank) => [consumer, rank < odd ? floor + 1 : floor]));
}

/** Dealt out in the order of `targets`, which is that of ids: consumers with the same view never reach for the same one. */
function portionOf(me: Uuid, targets: ReadonlyMap<Uuid, number>, state: ShareState): readonly Partition[] {
  const held = heldBy(state);
  const free = state.leases.filter((lease) => lease.holder === null).map((lease) => lease.partition);
  free.sort(byNumber);
  let dealt = 0;
  for (const [consumer, target] of targets) {
    const wanted = Math.max(0, target - (held.get(consumer) ?? 0));
    if (consumer === me) return free.slice(dealt, dealt + wanted);
    dealt += wanted;
  }
  return [];
}

/** What is on its way out goes first, then the highest numbers: the same choice as long as the state is the same. */
function surplusOf(mine: readonly Partition[], surplus: number, leaving: ReadonlySet<Partition>): readonly Partition[] {
  if (surplus <= 0) return [];
  const rank = (partition: Partition) => (leaving.has(partition) ? 0 : 1);
  const order = mine.toSorted((a, b) => rank(a) - rank(b) || b - a);
  return order.slice(0, surplus).sort(byNumber);
}

function heldBy(state: ShareState): ReadonlyMap<Uuid, number> {
  const held = new Map<Uuid, number>();
  for (const { holder } of state.leases) {
    if (holder !== null) held.set(holder, (held.get(holder) ?? 0) + 1);
  }
  return held;
}

function byNumber(a: Partition, b: Partition): number {
  return a - b;
}

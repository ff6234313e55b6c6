// Owns one turn of a consumer at the lease table: renew, look, give back, take, free.
import type { Partition } from '../../shared/command/identity.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { Clock } from '../../shared/process/time.ts';
import { fairShare, type ShareState } from './fair-share.ts';
import type { Holdings } from './holdings.ts';
import type { LeaseTable, Member } from './lease-table.ts';
import type { Membership } from './membership.ts';
import type { TurnTaker } from './turn-loop.ts';

export interface TurnGiven {
  readonly me: Member;
  readonly membership: Membership;
  readonly holdings: Holdings;
  readonly observe: Observe;
  readonly clock: Clock;
  /** What is held may have changed. */
  readonly publish: () => void;
  /** Another turn is worth taking at once. */
  readonly again: () => void;
}

export class Turns implements TurnTaker {
  readonly #given: TurnGiven;

  constructor(given: TurnGiven) {
    this.#given = given;
  }

  get isIdle(): boolean {
    return this.#given.membership.isOver && this.#given.holdings.all().length === 0;
  }

  async take(table: LeaseTable): Promise<void> {
    const { membership } = this.#given;
    await this.#renew(table);
    await (membership.wanted === 'in' ? this.#share(table) : membership.resign(table));
    await this.#freeDrained(table);
  }

  /** Drained or not. */
  async takeLast(table: LeaseTable): Promise<void> {
    const { holdings, membership } = this.#given;
    const left = holdings.all();
    await table.free(left);
    holdings.freed(left);
    await membership.end(table);
  }

  /** Gives up what is not safe any more by our own clock. Needs no database, may be called at any time. */
  lapse(): void {
    const { holdings, clock, observe, publish } = this.#given;
    const lapsed = holdings.lapse(clock.monotonicMs());
    for (const partition of lapsed) observe({ kind: 'lease-lost', partition, reason: 'it was not renewed in time' });
    if (lapsed.length > 0) publish();
  }

  async #renew(table: LeaseTable): Promise<void> {
    const { holdings, clock, observe, publish } = this.#given;
    const asked = holdings.all();
    const askedMs = clock.monotonicMs();
    const renewed = await table.renew(asked);
    // What lapsed while the answer was under way stays lapsed: its lane has been told.
    this.lapse();
    const lost = holdings.renewed(renewed, asked, askedMs);
    for (const partition of lost) observe({ kind: 'lease-lost', partition, reason: 'another consumer has taken it' });
    if (lost.length > 0) publish();
    this.lapse();
  }

  async #share(table: LeaseTable): Promise<void> {
    const { me, membership, holdings, clock, publish } = this.#given;
    const seen = await membership.renew(table);
    const actions = fairShare(this.#asKnown(seen), me.id, holdings.leaving());
    holdings.giveBack(actions.giveBack, clock.monotonicMs());
    publish();
    const askedMs = clock.monotonicMs();
    const taken = await table.take(actions.take.filter((partition) => !holdings.isOpen(partition)));
    holdings.taken(taken, askedMs);
    // While the statement was under way, somebody may have changed their mind, or the process stood still.
    if (membership.wanted === 'out') holdings.giveBack(taken, clock.monotonicMs());
    this.lapse();
    publish();
  }

  /** What stands under our name without our knowing (an answer was lost) is as good as free: for us, and then for everybody. */
  #asKnown(seen: ShareState): ShareState {
    const { me, holdings } = this.#given;
    const known = new Set<Partition>(holdings.all());
    const leases = seen.leases.map((lease) =>
      lease.holder === me.id && !known.has(lease.partition) ? { ...lease, holder: null } : lease,
    );
    return { consumers: seen.consumers, leases };
  }

  async #freeDrained(table: LeaseTable): Promise<void> {
    const { holdings, clock, again } = this.#given;
    const drained = holdings.drained(clock.monotonicMs());
    if (drained.length === 0) return;
    await table.free(drained);
    holdings.freed(drained);
    await table.announce();
    // What is free now may be ours to take again.
    again();
  }
}

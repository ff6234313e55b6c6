// Owns leases that follow: the broker's group decides who reads what, and the rows say which consumer has which lane open.
import type { Partition } from '../../shared/command/identity.ts';
import { Latest } from '../../shared/process/latest.ts';
import type { Clock } from '../../shared/process/time.ts';
import { LEASE_TIMES, type Leases, type LeasesGiven, type LeasesStatus } from '../leases.ts';
import type { LeaseTable } from './lease-table.ts';
import { Membership } from './membership.ts';
import { changeReport, type Report } from './report.ts';
import { TurnLoop, type TurnTaker } from './turn-loop.ts';

/**
 * For a transport that assigns partitions by itself. Nothing is shared out, nothing is ever lost and no lane waits for a row:
 * rows are for whoever looks, and a database that is away costs them and nothing else. `mine` stays empty.
 */
export function openFollowingLeases(given: LeasesGiven): Leases {
  return new FollowingLeases(given);
}

class FollowingLeases implements Leases {
  readonly name = 'leases';
  readonly mine = new Latest<ReadonlySet<Partition>>(new Set());
  readonly #membership = new Membership();
  readonly #lanes: FollowedLanes;
  readonly #loop: TurnLoop;

  constructor(given: LeasesGiven) {
    const times = given.times ?? LEASE_TIMES;
    this.#lanes = new FollowedLanes({
      membership: this.#membership,
      report: changeReport(given.observe),
      freshMs: times.renewMs,
      clock: given.clock,
    });
    this.#loop = new TurnLoop({ ...given, times, turns: this.#lanes });
  }

  start(): Promise<void> {
    this.#loop.start();
    return Promise.resolve();
  }

  async stop(deadlineMs: number): Promise<void> {
    this.leave();
    this.mine.end();
    await this.#loop.stop(deadlineMs);
  }

  join(): void {
    if (this.#loop.stopped.aborted) return;
    this.#membership.wanted = 'in';
    this.#loop.wake();
  }

  /** Lanes that are still open keep their rows until they are released: they are not ours to end. */
  leave(): void {
    this.#membership.wanted = 'out';
    this.#loop.wake();
  }

  laneOpened(partition: Partition): void {
    this.#lanes.opened(partition);
    this.#loop.wake();
  }

  laneReleased(partition: Partition): void {
    this.#lanes.released(partition);
    this.#loop.wake();
  }

  /** The broker says when a lane is lost; the fence sees to the rest. */
  isSafe(): boolean {
    return true;
  }

  status(): LeasesStatus {
    return {
      isMember: this.#membership.isMember && !this.#loop.isAway,
      held: this.#lanes.shown(),
      leaving: this.#lanes.leaving(),
      consumers: this.#membership.consumers,
    };
  }
}

interface FollowedLanesGiven {
  readonly membership: Membership;
  readonly report: Report;
  /** So long after its opening a lane is taken for the newest. */
  readonly freshMs: number;
  readonly clock: Clock;
}

//   opened ──▶ fresh ──(a turn, or too late for one)──▶ known ──▶ released ──(a turn)──▶ forgotten
//   fresh      its row is seized, whoever has it: of the lanes of a partition the newest is the one that the group wants
//   known      its row is renewed, or taken when nobody has it; never from another: that one's lane is newer, and ours is ending
//   released   its row is freed if it is ours; opened anew before that, it is fresh
class FollowedLanes implements TurnTaker {
  readonly #given: FollowedLanesGiven;
  readonly #open = new Set<Partition>();
  /** Of the open ones, with the time of their opening. */
  readonly #fresh = new Map<Partition, number>();
  readonly #released = new Set<Partition>();
  /** Whose rows were ours at the last turn. */
  #ours: readonly Partition[] = [];

  constructor(given: FollowedLanesGiven) {
    this.#given = given;
  }

  opened(partition: Partition): void {
    this.#open.add(partition);
    this.#fresh.set(partition, this.#given.clock.monotonicMs());
    this.#released.delete(partition);
  }

  released(partition: Partition): void {
    this.#open.delete(partition);
    this.#fresh.delete(partition);
    this.#released.add(partition);
  }

  shown(): readonly Partition[] {
    return this.#ours.filter((each) => this.#open.has(each));
  }

  leaving(): readonly Partition[] {
    return [...this.#released];
  }

  get isIdle(): boolean {
    return this.#given.membership.isOver && this.#open.size === 0 && this.#released.size === 0;
  }

  async take(table: LeaseTable): Promise<void> {
    const { membership, report } = this.#given;
    await (membership.wanted === 'in' ? membership.renew(table) : membership.resign(table));
    const fresh = this.#takeFresh();
    const seized = await table.seize(fresh);
    const kept = await table.take([...this.#open].filter((each) => !fresh.includes(each)));
    this.#ours = [...seized, ...kept];
    await this.#freeReleased(table);
    report(this.shown(), membership.consumers);
  }

  async takeLast(table: LeaseTable): Promise<void> {
    const { membership, report } = this.#given;
    await table.free([...this.#open, ...this.#released]);
    await membership.end(table);
    this.#open.clear();
    this.#fresh.clear();
    this.#released.clear();
    report([], membership.consumers);
  }

  /** Each once. After an outage nobody knows any more which lane is the newest: then whoever is released gives way. */
  #takeFresh(): readonly Partition[] {
    const sinceMs = this.#given.clock.monotonicMs() - this.#given.freshMs;
    const fresh = [...this.#fresh].flatMap(([partition, openedMs]) => (openedMs >= sinceMs ? [partition] : []));
    this.#fresh.clear();
    return fresh;
  }

  async #freeReleased(table: LeaseTable): Promise<void> {
    const released = [...this.#released];
    if (released.length === 0) return;
    await table.free(released);
    // What was opened meanwhile has left the set, and is seized in the next turn.
    for (const each of released) this.#released.delete(each);
    await table.announce();
  }
}

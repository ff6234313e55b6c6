// Owns a party of consumers at one lease table: each with leases of its own and lanes that open and end as a worker's would.
import { newUuid, type Partition, type Uuid } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { openLeases, type Leases, type LeasesGiven, type LeaseTimes } from '../../../consumers/leases.ts';
import { freshDatabase, type TestDatabase } from '../database.ts';

export interface Guest {
  readonly name: string;
  readonly id: Uuid;
  readonly leases: Leases;
  readonly events: OnelaneEvent[];
  held(): readonly Partition[];
}

export interface GuestOptions {
  readonly url?: string;
  readonly times?: LeaseTimes;
  /** Default: leases that decide. Where they follow, lanes open and end as the test says. */
  readonly open?: (given: LeasesGiven) => Leases;
  /** Holds back the end of a lane that was lost. */
  readonly draining?: (partition: Partition) => Promise<void>;
}

export class LeaseParty {
  readonly database: TestDatabase;
  readonly guests: Guest[] = [];
  /** Partitions that two guests were free to act on at the same moment. */
  readonly overlaps: string[] = [];
  #watching: (() => void)[] = [];

  constructor(database: TestDatabase) {
    this.database = database;
  }

  static async open(partitions: number): Promise<LeaseParty> {
    return new LeaseParty(await freshDatabase({ partitions }));
  }

  async arrive(name: string, options: GuestOptions = {}): Promise<Guest> {
    const events: OnelaneEvent[] = [];
    const id = newUuid();
    const { url, schema } = this.database;
    const leases = (options.open ?? openLeases)({
      database: { url: options.url ?? url, schema },
      me: { id, host: name, pid: process.pid },
      ...(options.times === undefined ? {} : { times: options.times }),
      observe: (event) => {
        events.push(event);
        this.#check();
      },
      clock: systemClock,
      random: Math.random,
    });
    const held = () => [...leases.status().held].filter((each) => leases.isSafe(each)).sort((a, b) => a - b);
    const guest: Guest = { name, id, leases, events, held };
    this.guests.push(guest);
    await leases.start();
    void liveLanes(leases, options.draining ?? (() => Promise.resolve()));
    leases.join();
    return guest;
  }

  /** As soon as it holds, looked at whenever anybody's leases change. */
  when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#watching = this.#watching.filter((each) => each !== look);
        resolve();
      };
      this.#watching.push(look);
      look();
    });
  }

  /** Every partition is held by one of these, and nobody has two more than another. */
  isFair(...guests: readonly Guest[]): boolean {
    const counts = guests.map((guest) => guest.held().length);
    const all = counts.reduce((sum, count) => sum + count, 0);
    return all === this.database.system.partitions && Math.max(...counts) - Math.min(...counts) <= 1;
  }

  async close(): Promise<void> {
    await Promise.all(this.guests.map((guest) => guest.leases.stop(2_000)));
    await this.database.close();
  }

  #check(): void {
    const holders = new Map<Partition, string>();
    for (const guest of this.guests) {
      for (const each of guest.held()) {
        const other = holders.get(each);
        if (other !== undefined) this.overlaps.push(`${each}: ${other} and ${guest.name}`);
        holders.set(each, guest.name);
      }
    }
    for (const look of this.#watching) look();
  }
}

async function liveLanes(leases: Leases, draining: (partition: Partition) => Promise<void>): Promise<void> {
  const open = new Set<Partition>();
  for await (const mine of leases.mine) {
    for (const each of mine) {
      if (open.has(each)) continue;
      open.add(each);
      leases.laneOpened(each);
    }
    for (const each of open) {
      if (mine.has(each)) continue;
      void draining(each).then(() => {
        open.delete(each);
        leases.laneReleased(each);
      });
    }
  }
  for (const each of open) leases.laneReleased(each);
}

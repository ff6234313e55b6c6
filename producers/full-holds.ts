// Owns knowing which held resources have a full queue: read in the background, so that no command asks the database.
import type { ResourceKey } from '../shared/command/identity.ts';
import type { Database } from '../shared/postgres/database.ts';
import { readFullHolds } from '../shared/postgres/hold-reads.ts';
import type { Clock } from '../shared/process/time.ts';

export interface HeldLimits {
  /** Commands parked for one held resource; past it nothing more is taken for it. */
  readonly parkedMax: number;
  /** How often is looked: what comes in that time, and what is still on its way to a lane, may exceed the bound. */
  readonly pollMs: number;
}

export const HELD_LIMITS: HeldLimits = { parkedMax: 100_000, pollMs: 1_000 };

export interface FullHolds {
  /** As of the last look; while the database cannot be read, what was known before. */
  has(key: ResourceKey): boolean;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface FullHoldsGiven {
  readonly database: Database;
  readonly clock: Clock;
  readonly limits?: Partial<HeldLimits>;
}

export function openFullHolds(given: FullHoldsGiven): FullHolds {
  return new Looking(given);
}

class Looking implements FullHolds {
  private readonly given: FullHoldsGiven;
  private readonly limits: HeldLimits;
  private readonly stop = new AbortController();
  private readonly looking: Promise<void>;
  private full: ReadonlySet<ResourceKey> = new Set();

  constructor(given: FullHoldsGiven) {
    this.given = given;
    this.limits = { ...HELD_LIMITS, ...given.limits };
    this.looking = this.look();
  }

  has(key: ResourceKey): boolean {
    return this.full.has(key);
  }

  close(): Promise<void> {
    this.stop.abort();
    return this.looking;
  }

  private async look(): Promise<void> {
    const { database, clock } = this.given;
    while (!this.stop.signal.aborted) {
      try {
        this.full = new Set(await readFullHolds(database, this.limits.parkedMax));
      } catch {
        // The database is away: who asks for outcomes, and the lanes, say so. The next look may find it again.
      }
      await clock.sleep(this.limits.pollMs, this.stop.signal);
    }
  }
}

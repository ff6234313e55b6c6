// Owns what a lane is given by whoever runs it: every effect and every limit it has.
import type { Epoch, Uuid } from '../../shared/command/identity.ts';
import type { Observe } from '../../shared/process/events.ts';
import type { ReachSignal } from '../../shared/process/test-signal.ts';
import type { Clock, Random } from '../../shared/process/time.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { DecideGate } from '../decide-gate.ts';
import type { FailurePolicy } from '../failure/policies.ts';
import type { BatchStore } from './batch-store.ts';

export interface LaneGiven {
  readonly store: BatchStore;
  readonly types: ResourceTypes;
  readonly contractHash: string;
  readonly policy: FailurePolicy;
  /** One per process: keeps other lanes from deciding beside a command under suspicion. */
  readonly gate: DecideGate;
  readonly limits: LaneLimits;
  /** How many partitions there are: what a key must hash to. */
  readonly system: { readonly partitions: number };
  /** Onelane's own schema: an error of its tables is never a command's fault. */
  readonly schema: string;
  /** Does the database answer `select 1` right now? Tells a slow command from a slow database. */
  readonly databaseAnswers: () => Promise<boolean>;
  readonly newOwner: () => Uuid;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
  /** null: nobody listens, and COMMIT travels with the writes. */
  readonly reach: ReachSignal | null;
}

export interface LaneLimits {
  /** Entries per batch; the knee lies between 200 and 1,000. */
  readonly batchCountMax: number;
  readonly batchBytesMax: number;
  /** How long a batch that is not full waits for more; 0: not at all. */
  readonly lingerMs: number;
  /** By then every consumer that is alive has renewed its membership: before a command is blamed for deaths. */
  readonly renewedMs: number;
}

export const LANE_LIMITS: LaneLimits = {
  batchCountMax: 500,
  batchBytesMax: 4 * 1024 * 1024,
  lingerMs: 0,
  renewedMs: 4_000,
};

/** How a lane came to its end; `halted` stays halted until somebody does what the sentence says. */
export type LaneEnd =
  | { readonly kind: 'released' }
  /** Another holder is in, the commit count is not ours, or the lane never got its tenure. */
  | { readonly kind: 'tenure-lost'; readonly reason: string }
  | { readonly kind: 'halted'; readonly code: string; readonly detail: string; readonly holder: Holder | null };

/** The lane as its tenure row knows it: tells whether anybody else has claimed the partition since. */
export interface Holder {
  readonly owner: Uuid;
  /** null: no claim was answered, though one may have been carried out. */
  readonly epoch: Epoch | null;
}

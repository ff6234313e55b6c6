// Owns the question whether the database still knows what the broker was told to forget. Pure.
import type { Epoch, Partition, Uuid } from '../../command/identity.ts';
import { LogDiverged } from '../log-diverged.ts';
import type { Stamp } from './stamps.ts';

export interface StampCheckGiven {
  readonly partition: Partition;
  /** Of the queue that holds the stamp. */
  readonly stampQueue: string;
  readonly systemId: Uuid;
  /** Transactions that the database has committed for the partition. */
  readonly commits: bigint;
  /** Of the claim under which the lane reads on: newer than any that a stamp can know. undefined: nothing is concluded from it. */
  readonly epoch: Epoch | undefined;
  readonly warn: (detail: string) => void;
}

/** Throws LogDiverged rather than let a lane go on behind a gap. */
export function checkStamp(stamp: Stamp | null, given: StampCheckGiven): void {
  const { partition, stampQueue, systemId } = given;
  if (stamp === null) {
    if (given.commits > 0n) {
      given.warn(
        `partition ${partition} has no stamp in queue "${stampQueue}": if the broker has lost its queues, the commands in them are gone, and callers must repeat what has no outcome`,
      );
    }
    return;
  }
  if (stamp.system !== systemId) {
    throw new LogDiverged(
      `partition ${partition}: queue "${stampQueue}" was written by another system (${stamp.system}): two databases share one log; give one of them another ONELANE_CHANNEL`,
    );
  }
  const older = olderThan(stamp, given);
  if (older !== null) {
    throw new LogDiverged(
      `partition ${partition}: ${older}: it was restored to an older state, and what it has lost is gone from the queue; restore a newer one, or have callers repeat, with the same ids, what they sent since the database's last entry and until ${stamp.appendedAt.toISOString()}, then delete queue "${stampQueue}" and restart`,
    );
  }
}

/** What shows that the database is older than the stamp; null: nothing does. */
function olderThan(stamp: Stamp, { commits, epoch }: StampCheckGiven): string | null {
  if (stamp.commits > commits) {
    return `the database holds ${commits} commits where the broker was told of ${stamp.commits}`;
  }
  if (epoch !== undefined && stamp.epoch !== null && stamp.epoch >= epoch) {
    return `the database has come to claim ${epoch} where the broker was told of claim ${stamp.epoch} before`;
  }
  return null;
}

// Owns the question whether a log is still the one the database knows. Pure; adapters whose positions are stored ask it in `start`.
import { entryHash, HEADER, type Delivery, type Headers } from '../command/entry.ts';
import { position, type Partition, type Position, type Uuid } from '../command/identity.ts';
import { LogDiverged } from './log-diverged.ts';
import type { Resume } from './transport.ts';

export interface LogView {
  readonly partition: Partition;
  /** Of the first entry that is kept; equal to `end` when none is. */
  readonly first: Position;
  /** What the next entry will get. */
  readonly end: Position;
  /** The entry at the last applied position; null when it is not kept. */
  readonly lastApplied: Delivery | null;
}

const WHAT_TO_DO =
  'do not go on blindly: restore the log and the database to states that belong together, or start a new system for this log';

/** The position to read first. Throws LogDiverged rather than let a lane skip or double. */
export function startingPosition(at: Resume, log: LogView): Position {
  const next = at.next ?? (at.last === null ? null : position(at.last.position + 1n));
  if (next === null) return log.first;
  if (log.end < next) {
    throw diverged(
      log.partition,
      `the log ends at ${log.end}, before position ${next} where the database wants to read on`,
    );
  }
  if (log.lastApplied !== null && at.last !== null && entryHash(log.lastApplied) !== at.last.hash) {
    throw diverged(log.partition, `the entry at position ${at.last.position} is not the one that was applied last`);
  }
  if (log.first > next) {
    throw diverged(
      log.partition,
      `the log begins at ${log.first}: entries from ${next} on are gone without having been applied`,
    );
  }
  return next;
}

export function diverged(partition: Partition, what: string): LogDiverged {
  return new LogDiverged(`partition ${partition}: ${what}; ${WHAT_TO_DO}`);
}

/** How many entries, from the first on, are ours: up to the first that another system published. `headers`: of each. */
export function countOwn(headers: readonly Headers[], system: Uuid | null): number {
  if (system === null) return headers.length;
  // Entries that came together share them as a rule.
  const foreign = headers.findIndex((each, at) => each !== headers[at - 1] && isForeign(each, system));
  return foreign === -1 ? headers.length : foreign;
}

/** Whether an entry says that another system published it; who says nothing is welcome. */
export function isForeign(headers: Headers, system: Uuid): boolean {
  return (headers[HEADER.system] ?? system) !== system;
}

export function foreignSystem(partition: Partition, delivery: Delivery): LogDiverged {
  return diverged(
    partition,
    `the entry at position ${delivery.position} was published by another system (${delivery.headers[HEADER.system]}): two databases share one log`,
  );
}

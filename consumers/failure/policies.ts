// Owns the two questions that a team may answer for itself: what a failing command does to its lane, and how long an outage is waited out.
import type { Command } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import { backoffMs, type Random } from '../../shared/process/time.ts';

/** Answers are data; the lane acts. Both must be pure but for the randomness they were made with. */
export interface FailurePolicy {
  /** `park` sets the command aside and holds its resource: order demands it. `halt-lane` stops the partition before it. */
  onCommandFailure(failure: CommandFailure, command: Command): 'park' | 'halt-lane';
  /** `attempt` counts from 1 and starts anew after a success. */
  onOutage(cause: Error, attempt: number): OutageAnswer;
}

export type OutageAnswer = { readonly kind: 'wait'; readonly ms: number } | { readonly kind: 'halt-lane' };

/** Parks every failure, waits out every outage with back-off from 50 ms to 5 s. */
export function parkAndWait(random: Random): FailurePolicy {
  return {
    onCommandFailure: () => 'park',
    onOutage: (_cause, attempt) => ({ kind: 'wait', ms: backoffMs(attempt, random) }),
  };
}

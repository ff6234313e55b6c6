// Owns what callers are told while commands cannot be stored: by the name of what carries them, which need not be a broker.
import type { Submission } from './partition-queue.ts';

export interface OutageWords {
  readonly away: Submission;
  readonly unknownInFlight: Submission;
  readonly unknownAfterRetries: Submission;
}

export function awayReason(carriedBy: string): string {
  return `${carriedBy} cannot be reached`;
}

/** `carriedBy`: as the transport names it, `the database`. */
export function outageWords(carriedBy: string): OutageWords {
  const unknown = (said: string): Submission => ({ kind: 'outcome-unknown', cause: new Error(`${carriedBy} ${said}`) });
  return {
    away: { kind: 'not-accepted', reason: awayReason(carriedBy), retry: 'later' },
    unknownInFlight: unknown('has not answered in time'),
    unknownAfterRetries: unknown('did not say whether it has stored the command'),
  };
}

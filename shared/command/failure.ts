// Owns the failure of one command: why it could not be decided or written, in a form that can be stored and shown.

export type FailureCode =
  | 'decide-threw'
  | 'decision-malformed'
  | 'contract-mismatch'
  | 'refused-by-database'
  | 'timed-out'
  | 'crashed-consumer'
  /** Nothing wrong with the command itself: its resource is held, and order demands that it waits. */
  | 'resource-held';

export interface CommandFailure {
  readonly code: FailureCode;
  /** One sentence, without NUL, at most DETAIL_LENGTH_MAX characters. */
  readonly detail: string;
  readonly sqlstate?: string;
}

export const DETAIL_LENGTH_MAX = 2_000;

/** Text that PostgreSQL can store and a person can read: no NUL, no lone surrogates, bounded. */
export function storableText(text: string): string {
  return text.slice(0, DETAIL_LENGTH_MAX).replaceAll('\u0000', '\uFFFD').toWellFormed();
}
